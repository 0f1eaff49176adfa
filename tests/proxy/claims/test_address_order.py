"""Addresses found by the network they are in."""

from __future__ import annotations

from builders import address
from proxy_builders import addresses

from netpol.model.networks import parse_network
from proxy.claims.address_order import AddressOrder


def order(text: str) -> AddressOrder:
    found = AddressOrder()
    for each in addresses(text):
        found.add(each)
    return found


def test_those_inside_are_found_in_their_order_and_at_both_ends() -> None:
    known = order("10.0.1.255 10.0.2.0 10.0.1.0 10.0.0.255 fd00::1 10.0.1.7")
    assert known.inside(parse_network("10.0.1.0/24")) == [*addresses("10.0.1.0 10.0.1.7 10.0.1.255")]
    assert known.inside(parse_network("fd00::/64")) == [address("fd00::1")]
    assert known.inside(parse_network("10.0.1.16/28")) == []
    assert known.inside(parse_network("10.9.0.0/16")) == []
    assert known.inside(parse_network("fd01::/64")) == []


def test_an_address_is_there_until_it_was_taken_away_as_often_as_it_was_added() -> None:
    known = order("10.0.0.1 10.0.0.1 10.0.0.2")
    everything = parse_network("0.0.0.0/0")
    assert known.inside(everything) == [*addresses("10.0.0.1 10.0.0.2")]
    known.discard(address("10.0.0.1"))
    assert known.inside(everything) == [*addresses("10.0.0.1 10.0.0.2")]
    known.discard(address("10.0.0.1"))
    assert known.inside(everything) == [address("10.0.0.2")]
