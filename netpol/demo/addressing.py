"""Addresses for pods that have none, from their nodes' pod ranges."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from ipaddress import ip_network

from netpol.errors import NetpolError
from netpol.model.networks import Address, Network

MOST_RANGES = 255
FIRST_POD = 10
"""The first pod's place in its node's range: what is before is the range's own, the gateway's and spare."""


def spare_ranges(taken: Collection[Address | Network]) -> Iterator[tuple[Network, ...]]:
    """Pod ranges for nodes without any, one of each family at a time, that hold nothing of `taken`.

    >>> [str(network) for network in next(spare_ranges([]))]
    ['10.244.1.0/24', 'fd00:10:244:1::/64']
    """
    for number in range(1, MOST_RANGES + 1):
        found = ip_network(f"10.244.{number}.0/24"), ip_network(f"fd00:10:244:{number:x}::/64")
        if not any(_overlap(network, ip_network(other)) for network in found for other in taken):
            yield found
    raise NetpolError("the demo has no pod range left for a node that has none")


def free_addresses(pod_range: Network, taken: Collection[Address]) -> Iterator[Address]:
    """The addresses of `pod_range` for pods that are not `taken`, in order.

    >>> [str(address) for address in free_addresses(ip_network("10.0.0.0/29"), [])]
    ['10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6']
    """
    first = FIRST_POD if pod_range.num_addresses > 2 * FIRST_POD else 2
    for place in range(first, pod_range.num_addresses - 1):
        address = pod_range.network_address + place
        if address not in taken:
            yield address


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and (other.network_address in one or one.network_address in other)
