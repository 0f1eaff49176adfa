"""Addresses that are somebody's in the cluster already, and that no service may have besides."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from netpol.model.networks import Address, Family, Network, family_of
from netpol.model.objects import Node
from proxy.claims import refusals

_EVERY_NODE = ""
"""Whose the ranges are that the settings name: it goes before the name of any node."""


class Ground(NamedTuple):
    """Addresses and networks that changed hands."""

    addresses: frozenset[Address]
    networks: frozenset[Network]

    @classmethod
    def of(cls, node: Node | None) -> Ground:
        """Those that the node has; none where there is no node."""
        return (
            cls(frozenset(), frozenset()) if node is None else cls(frozenset(node.addresses), frozenset(node.pod_cidrs))
        )


class Territory:
    """The addresses of nodes and of this network namespace, and the ranges that pods get theirs from."""

    def __init__(self, pod_ranges: Iterable[Network]) -> None:
        self._nodes: dict[str, Ground] = {}
        self._own: frozenset[Address] = frozenset()
        self._hosts: dict[Address, set[str]] = {}
        self._ranges: dict[Network, set[str]] = {}
        self._lengths: dict[Family, Counter[int]] = {family: Counter() for family in Family}
        for network in pod_ranges:
            self._give_range(network, _EVERY_NODE)

    def place_node(self, name: str, node: Node | None) -> Ground:
        """The node is this, None being that there is none; returns what it got by that, or lost."""
        before, after = self._nodes.get(name, Ground.of(None)), Ground.of(node)
        self._nodes[name] = after
        if node is None:
            del self._nodes[name]
        for address in before.addresses - after.addresses:
            self._hosts[address].discard(name)
            if not self._hosts[address]:
                del self._hosts[address]
        for address in after.addresses - before.addresses:
            self._hosts.setdefault(address, set()).add(name)
        for network in before.networks - after.networks:
            self._take_range(network, name)
        for network in after.networks - before.networks:
            self._give_range(network, name)
        return Ground(before.addresses ^ after.addresses, before.networks ^ after.networks)

    def set_own_addresses(self, addresses: frozenset[Address]) -> frozenset[Address]:
        """These are this network namespace's; returns those that it got by that, or lost."""
        changed, self._own = self._own ^ addresses, addresses
        return changed

    def whose(self, address: Address) -> str | None:
        """What the address is, in words that name whose; None where it is nobody's.

        Of several that have it the first by name is told, whoever came first.
        """
        if address in self._hosts:
            return refusals.node_address(min(self._hosts[address]))
        if address in self._own:
            return refusals.OWN_ADDRESS
        for length in sorted(self._lengths[family_of(address)]):
            network = ipaddress.ip_network((address, length), strict=False)
            if network in self._ranges:
                return refusals.in_pod_range(network, min(self._ranges[network]))
        return None

    def _give_range(self, network: Network, node: str) -> None:
        nodes = self._ranges.setdefault(network, set())
        if not nodes:
            self._lengths[family_of(network)][network.prefixlen] += 1
        nodes.add(node)

    def _take_range(self, network: Network, node: str) -> None:
        nodes = self._ranges[network]
        nodes.discard(node)
        if not nodes:
            del self._ranges[network]
            lengths = self._lengths[family_of(network)]
            lengths[network.prefixlen] -= 1
            if not lengths[network.prefixlen]:
                del lengths[network.prefixlen]
