"""Addresses that nobody has."""

from __future__ import annotations

from ipaddress import ip_network
from itertools import islice

import pytest
from builders import address

from netpol.demo.addressing import FIRST_POD, MOST_RANGES, free_addresses, spare_ranges
from netpol.errors import NetpolError
from netpol.model.networks import parse_network


def test_ranges_that_hold_anything_taken_are_passed_over() -> None:
    taken = [address("10.244.1.77"), parse_network("fd00:10:244:2::/64"), parse_network("10.244.2.0/23")]
    found = [str(network) for ranges in islice(spare_ranges(taken), 2) for network in ranges]
    assert found == ["10.244.4.0/24", "fd00:10:244:4::/64", "10.244.5.0/24", "fd00:10:244:5::/64"]


def test_ranges_come_to_an_end() -> None:
    assert len(list(islice(spare_ranges([]), MOST_RANGES))) == MOST_RANGES
    with pytest.raises(NetpolError, match="no pod range left"):
        next(spare_ranges([parse_network("10.0.0.0/8")]))


def test_addresses_are_those_of_the_range_that_nobody_has() -> None:
    network = ip_network("10.1.0.0/24")
    found = list(islice(free_addresses(network, {address("10.1.0.11")}), 3))
    assert found == [address("10.1.0.10"), address("10.1.0.12"), address("10.1.0.13")]
    assert len(list(free_addresses(network, ()))) == 256 - FIRST_POD - 1


@pytest.mark.parametrize(("text", "count"), [("10.1.0.0/30", 1), ("10.1.0.0/31", 0), ("10.1.0.0/32", 0)])
def test_small_ranges_keep_their_gateway(text: str, count: int) -> None:
    assert len(list(free_addresses(ip_network(text), ()))) == count
