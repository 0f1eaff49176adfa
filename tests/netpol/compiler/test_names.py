"""Names that are ours, fit the kernel, and never stand for two things."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.compiler import names
from netpol.compiler.names import PodChain, PodChainKind
from netpol.model.networks import Family, parse_network
from netpol.model.policies import Direction
from netpol.model.treatment import Extent

CHAIN_CHARACTERS, SET_CHARACTERS = 28, 31
IDENTITIES = st.lists(st.text(string.ascii_lowercase + ":0123456789", max_size=4), max_size=4)

CHAINS = [
    *names.BASE_CHAINS,
    *(
        name
        for direction in Direction
        for name in (
            names.judging_chain(direction),
            *(names.pod_chain("n" * 63, "p" * 253, direction, kind) for kind in PodChainKind),
            names.branch_chain(parse_network("fd00::/64"), direction),
        )
    ),
]
SETS = [
    name
    for direction in Direction
    for family in Family
    for name in (
        names.shared_set("P", family, "pods [*] of namespace x"),
        names.group_set("n" * 63, "p" * 253, direction, "TCP 80"),
        names.group_set("n" * 63, "p" * 253, direction, "TCP 80", Extent.ALL),
        names.isolated_set(direction, family),
        names.enforced_set(family),
        names.unknown_set(family),
        names.cut_set(family),
        names.services_set(family),
    )
]


@pytest.mark.parametrize("name", CHAINS)
def test_chains_are_ours_and_short_enough_for_the_nft_variant(name: str) -> None:
    assert names.is_ours(name)
    assert len(name) <= CHAIN_CHARACTERS


@pytest.mark.parametrize("name", SETS)
def test_sets_are_ours_and_short_enough_for_ipset(name: str) -> None:
    assert names.is_ours(name)
    assert len(name) <= SET_CHARACTERS


@pytest.mark.parametrize(
    "name",
    [
        "",
        "FORWARD",
        "NETPOL-",
        "NETPOL-SERVICE-INPUT",
        "NETPOL-SERVICE-OWNED-4",
        "NETPOL-SERVICES-5",
        "NETPOL-FORWARD2",
        "XNETPOL-FORWARD",
        "NETPOL-PI-short",
        "NETPOL-ISO-IN-5",
        "netpol-x",
    ],
)
def test_names_of_others_are_not_ours(name: str) -> None:
    assert not names.is_ours(name)


def test_every_kind_of_name_is_told_from_the_others() -> None:
    assert len(set(CHAINS)) == len(CHAINS) - 2, "the judging chains are among the base chains too"
    assert len(set(SETS)) == 18


@given(IDENTITIES, IDENTITIES)
def test_identities_share_no_digest(one: list[str], other: list[str]) -> None:
    assert (names.digest(*one) == names.digest(*other)) == (one == other)


@given(st.text(max_size=8), st.text(max_size=8), st.sampled_from(Direction), st.sampled_from(PodChainKind))
def test_a_pods_chain_is_read_back(namespace: str, pod: str, direction: Direction, kind: PodChainKind) -> None:
    found = names.parse_pod_chain(names.pod_chain(namespace, pod, direction, kind))
    assert found == PodChain(kind, direction, names.digest(namespace, pod))


@pytest.mark.parametrize(
    "name",
    [
        *names.BASE_CHAINS,
        names.branch_chain(parse_network("fd00::/64"), Direction.INGRESS),
        names.group_set("x", "a", Direction.INGRESS, "TCP 80"),
        names.shared_set("P", Family.IPV4, "pods [*] of namespace x"),
        names.pod_chain("x", "a", Direction.INGRESS) + "A",
        "X" + names.pod_chain("x", "a", Direction.INGRESS),
    ],
)
def test_no_other_name_is_read_as_a_pods_chain(name: str) -> None:
    assert names.parse_pod_chain(name) is None


def test_directions_families_and_kinds_are_part_of_a_name() -> None:
    assert len({names.pod_chain("a", "b", direction) for direction in Direction}) == 2
    assert names.pod_chain("a", "bc", Direction.INGRESS) != names.pod_chain("ab", "c", Direction.INGRESS)
    shared = {names.shared_set(kind, family, "same") for kind in "PQNB" for family in Family}
    assert len(shared) == 8
