"""Whose connections a change of sets may deny."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from builders import node, pod
from live import gone, known

from netpol.compiler.names import enforced_set, isolated_set
from netpol.compiler.ruleset import AddressPort, IpSet, Member, NetworkMember, SetReference, SetType
from netpol.control.tightening import passed_on, shuts_out_ranges, tightened
from netpol.dataplane.steps import AddMembers, CreateSets, DestroySets, RemoveMembers, Step
from netpol.model.networks import Family
from netpol.model.policies import Direction
from netpol.model.ports import Protocol

GONE = ip_address("10.0.1.7")
PEERS = IpSet("NETPOL-P4-AAAAAAAAAAAAAAAA", SetType.ADDRESSES, Family.IPV4)
LIST = IpSet("NETPOL-LI-AAAAAAAAAAAAAAAA", SetType.SETS, None)
RANGES = IpSet("NETPOL-UNKNOWN-4", SetType.NETWORKS, Family.IPV4)


@pytest.mark.parametrize(
    "step",
    [
        CreateSets((PEERS,)),
        AddMembers(PEERS, (GONE.packed,)),
        DestroySets((PEERS,)),
        RemoveMembers(LIST, (SetReference(PEERS.name),)),
    ],
    ids=lambda step: type(step).__name__,
)
def test_what_allows_or_tidies_up_or_is_judged_elsewhere_names_nobody(step: Step) -> None:
    assert tightened((step,)) == frozenset()


@pytest.mark.parametrize(
    "member",
    [GONE.packed, AddressPort(GONE.packed, Protocol.TCP, 80), NetworkMember(GONE.packed, 32, nomatch=True)],
    ids=["address", "address and port", "hole"],
)
def test_an_address_that_goes_may_be_denied(member: Member) -> None:
    assert tightened((RemoveMembers(PEERS, (member,)),)) == {GONE}


@pytest.mark.parametrize("family", Family)
def test_an_address_that_is_isolated_from_now_on_may_be_denied(family: Family) -> None:
    enforced = IpSet(enforced_set(family), SetType.ADDRESSES, family)

    assert tightened((AddMembers(enforced, (GONE.packed,)),)) == {GONE}


@pytest.mark.parametrize("direction", Direction)
def test_an_address_that_is_isolated_under_audit_is_denied_nothing(direction: Direction) -> None:
    """X16."""
    isolated = IpSet(isolated_set(direction, Family.IPV4), SetType.ADDRESSES, Family.IPV4)

    assert tightened((AddMembers(isolated, (GONE.packed,)),)) == frozenset()


def test_a_range_that_goes_denies_no_address() -> None:
    assert tightened((RemoveMembers(RANGES, (NetworkMember(bytes([10, 0, 0, 0]), 24),)),)) == frozenset()


def test_several_addresses_that_go_may_all_be_denied() -> None:
    other = ip_address("10.0.1.8")

    steps = (RemoveMembers(PEERS, (GONE.packed,)), RemoveMembers(PEERS, (other.packed,)))

    assert tightened(steps) == {GONE, other}


def test_an_address_that_a_pod_of_the_node_has_may_have_been_another_ones() -> None:
    heir = pod("x/heir", "10.0.1.7", "fd00::7", node="n1")
    elsewhere, none = pod("x/far", "10.0.2.7", node="n2"), pod("x/other", "10.0.1.9", node="n1")

    assert passed_on([known(heir), known(elsewhere), gone(none), known(node("n1", "192.0.2.1"))], "n1") == {
        ip_address("10.0.1.7"),
        ip_address("fd00::7"),
    }


def test_a_range_that_is_shut_out_concerns_whoever_has_an_address_of_it() -> None:
    ranged, hole = NetworkMember(bytes([10, 0, 0, 0]), 24), NetworkMember(GONE.packed, 32, nomatch=True)
    unknown = IpSet("NETPOL-UNKNOWN-4", SetType.NETWORKS, Family.IPV4)

    assert shuts_out_ranges((AddMembers(unknown, (hole, ranged)),))
    assert not shuts_out_ranges((AddMembers(unknown, (hole,)), AddMembers(PEERS, (GONE.packed,))))
