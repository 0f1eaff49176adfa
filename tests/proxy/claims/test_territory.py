"""Addresses that are somebody's already."""

from __future__ import annotations

import pytest
from builders import address, node
from proxy_builders import addresses

from netpol.model.networks import parse_network
from proxy.claims.territory import Ground, Territory

RANGE = parse_network("10.1.0.0/24")
ONE = node("n1", "192.0.2.1", "2001:db8::1", pod_cidrs=["10.1.0.0/24", "fd00:1::/64"])


def territory(*pod_ranges: str) -> Territory:
    return Territory(map(parse_network, pod_ranges))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("192.0.2.1", "an address of node n1"),
        ("2001:db8::1", "an address of node n1"),
        ("192.0.2.9", "an address of this node"),
        ("10.1.0.255", "in 10.1.0.0/24, which is for the pods of node n1"),
        ("fd00:1::7", "in fd00:1::/64, which is for the pods of node n1"),
        ("10.5.0.1", "in 10.5.0.0/16, which is for pods"),
        ("10.1.1.0", None),
        ("10.4.255.255", None),
        ("198.51.100.1", None),
    ],
)
def test_whose_an_address_is(text: str, words: str | None) -> None:
    known = territory("10.5.0.0/16")
    known.place_node("n1", ONE)
    known.set_own_addresses(frozenset(addresses("192.0.2.9 192.0.2.1")))
    assert known.whose(address(text)) == words


def test_the_widest_range_is_told_and_of_equal_ones_the_first_nodes() -> None:
    known = territory("10.0.0.0/8")
    known.place_node("n1", ONE)
    assert known.whose(address("10.1.0.1")) == "in 10.0.0.0/8, which is for pods"
    shared = territory()
    shared.place_node("n2", node("n2", "192.0.2.1", pod_cidrs=["10.1.0.0/24"]))
    shared.place_node("n1", ONE)
    assert shared.whose(address("10.1.0.1")) == "in 10.1.0.0/24, which is for the pods of node n1"
    assert shared.whose(address("192.0.2.1")) == "an address of node n1"
    shared.place_node("n1", None)
    assert shared.whose(address("10.1.0.1")) == "in 10.1.0.0/24, which is for the pods of node n2"
    assert shared.whose(address("192.0.2.1")) == "an address of node n2"


def test_what_a_node_gets_or_loses_is_told() -> None:
    known = territory()
    everything = Ground(frozenset(ONE.addresses), frozenset(ONE.pod_cidrs))
    assert known.place_node("n1", ONE) == everything
    assert known.place_node("n1", ONE) == Ground(frozenset(), frozenset())
    moved = node("n1", "192.0.2.2", "2001:db8::1", pod_cidrs=["fd00:1::/64", "fd00:2::/64"])
    assert known.place_node("n1", moved) == Ground(
        frozenset(addresses("192.0.2.1 192.0.2.2")), frozenset((RANGE, parse_network("fd00:2::/64")))
    )
    assert known.whose(address("192.0.2.1")) is None
    assert known.whose(address("10.1.0.1")) is None
    assert known.whose(address("fd00:2::1")) == "in fd00:2::/64, which is for the pods of node n1"
    known.place_node("n1", None)
    assert known.whose(address("fd00:2::1")) is None
    assert known.place_node("n1", None) == Ground(frozenset(), frozenset())


def test_own_addresses_are_those_of_the_last_time() -> None:
    known = territory()
    assert known.set_own_addresses(frozenset(addresses("10.0.0.1 10.0.0.2"))) == {*addresses("10.0.0.1 10.0.0.2")}
    assert known.set_own_addresses(frozenset(addresses("10.0.0.2 10.0.0.3"))) == {*addresses("10.0.0.1 10.0.0.3")}
    assert known.whose(address("10.0.0.1")) is None
    assert known.whose(address("10.0.0.3")) == "an address of this node"
