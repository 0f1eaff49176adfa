"""Addresses in their order, so that those inside a network are found without a look at the others."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter

from netpol.model.networks import Address, Family, Network, family_of


class AddressOrder:
    """Addresses of both families, each as often as it was added."""

    def __init__(self) -> None:
        self._counts: Counter[Address] = Counter()
        self._in_order: dict[Family, list[Address]] = {family: [] for family in Family}

    def add(self, address: Address) -> None:
        """It is there once more."""
        self._counts[address] += 1
        if self._counts[address] == 1:
            insort(self._in_order[family_of(address)], address, key=int)

    def discard(self, address: Address) -> None:
        """It is there once less; when that was the last time, it is gone."""
        self._counts[address] -= 1
        if not self._counts[address]:
            del self._counts[address]
            line = self._in_order[family_of(address)]
            del line[bisect_left(line, int(address), key=int)]

    def inside(self, network: Network) -> list[Address]:
        """Those in the network, each once."""
        line = self._in_order[family_of(network)]
        first = bisect_left(line, int(network.network_address), key=int)
        return line[first : bisect_right(line, int(network.broadcast_address), first, key=int)]
