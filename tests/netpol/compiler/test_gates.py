"""The sets that every packet is looked up in."""

from __future__ import annotations

import pytest
from builders import address, node

from netpol.compiler import names
from netpol.compiler.gates import (
    CUT_SECONDS,
    PodRange,
    cut_set,
    enforced_set,
    isolated_set,
    own_node,
    pod_cidrs,
    services_set,
)
from netpol.compiler.ruleset import NetworkMember, SetType
from netpol.model.networks import Family, parse_network
from netpol.model.objects import Node
from netpol.model.policies import Direction
from netpol.settings import NodeOptions

FOUR, SIX = Family.IPV4, Family.IPV6
STATED = node("n1", pod_cidrs=["10.0.0.0/24"])
FALLBACK = (parse_network("10.9.0.0/16"), parse_network("fd00::/64"))


def test_the_isolated_are_addresses() -> None:
    found = isolated_set(Direction.EGRESS, FOUR, [address("10.0.0.1")])
    assert (found.name, found.type) == (names.isolated_set(Direction.EGRESS, FOUR), SetType.ADDRESSES)
    assert found.members == {address("10.0.0.1").packed}


def test_those_of_whom_nothing_is_picked_up_in_mid_stream_are_addresses() -> None:
    """G11."""
    found = enforced_set(SIX, [address("fd00::1")])
    assert (found.name, found.type, found.family) == (names.enforced_set(SIX), SetType.ADDRESSES, SIX)
    assert found.members == {address("fd00::1").packed}


def test_what_was_cut_is_remembered_for_a_time() -> None:
    """G11."""
    found = cut_set(SIX)
    assert (found.name, found.timeout_seconds, found.members) == (names.cut_set(SIX), CUT_SECONDS, frozenset())


def test_what_the_proxy_serves_is_its_to_say() -> None:
    """X5."""
    found = services_set(FOUR)
    assert (found.name, found.type, found.family) == ("NETPOL-SERVICES-4", SetType.ADDRESS_PORTS, FOUR)
    assert (found.filled_by_others, found.has_comments, found.members) == (True, False, frozenset())


@pytest.mark.parametrize(
    ("stated", "options", "ranges"),
    [
        (None, NodeOptions("n1"), ()),
        (STATED, NodeOptions("n1"), ("10.0.0.0/24",)),
        (STATED, NodeOptions("n1", pod_cidrs=FALLBACK), ("10.0.0.0/24", "fd00::/64")),
        (None, NodeOptions("n1", pod_cidrs=FALLBACK), ("10.9.0.0/16", "fd00::/64")),
        (STATED, NodeOptions("n1", pod_cidrs=FALLBACK, fail_open=True), ()),
    ],
)
def test_the_ranges_are_the_nodes_and_where_it_states_none_the_options(
    stated: Node | None, options: NodeOptions, ranges: tuple[str, ...]
) -> None:
    """G12."""
    assert tuple(map(str, pod_cidrs(stated, options))) == ranges


def test_known_pods_are_holes_in_the_ranges() -> None:
    """G12; a range that is one known pod is not there at all."""
    here = PodRange.of(FOUR, map(parse_network, ("10.0.0.0/24", "10.1.0.1/32", "fd00::/64")))
    known = [address("10.0.0.7").packed, address("10.1.0.1").packed]
    assert here.unknown_set(known).members == {
        NetworkMember(address("10.0.0.0").packed, 24),
        NetworkMember(address("10.0.0.7").packed, 32, nomatch=True),
        NetworkMember(address("10.1.0.1").packed, 32, nomatch=True),
    }


def test_an_address_is_in_the_ranges_or_not() -> None:
    here = PodRange.of(FOUR, map(parse_network, ("10.0.0.0/24", "10.2.0.0/24")))
    inside = {text: address(text).packed in here for text in ("10.0.0.255", "10.2.0.0", "10.1.255.255", "10.0.1.0")}
    assert inside == {"10.0.0.255": True, "10.2.0.0": True, "10.1.255.255": False, "10.0.1.0": False}


RANGED, BARE = node("n1", "192.0.2.1", pod_cidrs=["10.0.0.0/24"]), node("n1", "192.0.2.9")
MOVED = node("n1", "192.0.2.1", pod_cidrs=["10.9.0.0/24"])


@pytest.mark.parametrize(
    ("known", "told", "kept"),
    [
        (None, None, None),
        (None, BARE, BARE),
        (RANGED, None, RANGED),
        (RANGED, MOVED, MOVED),
        (RANGED, BARE, node("n1", "192.0.2.9", pod_cidrs=["10.0.0.0/24"])),
    ],
)
def test_neither_the_own_node_nor_its_ranges_are_forgotten(
    known: Node | None, told: Node | None, kept: Node | None
) -> None:
    """G12."""
    assert own_node(known, told) == kept
