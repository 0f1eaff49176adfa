"""What a lab is made of, as values: hosts outside, kinds of wiring, ends of a connection, addresses left open."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_address

from netpol.lab.namespace import Namespace
from netpol.model.networks import Address, Family, family_of
from netpol.model.objects import Node

WIRE_ADDRESSES = {Family.IPV4: ip_address("172.31.255.0"), Family.IPV6: ip_address("fd31:255::")}
"""Where the addresses begin that nodes get which state none."""

GATEWAYS = {Family.IPV4: ip_address("169.254.1.1"), Family.IPV6: ip_address("fe80::1")}
"""Every pod's next hop where the node's pod range offers no address for it: a link-local one, on each pod's link."""


class Wiring(enum.Enum):
    """How the pods of one node are connected to it."""

    ROUTED = "routed"
    """Each by a link of its own: all that pods say to each other passes the node's FORWARD hook."""
    BRIDGED = "bridged"
    """All by the bridge `kube-bridge`: pods of one node meet FORWARD only by bridge-nf-call-iptables."""


@dataclass(frozen=True, slots=True)
class Outside:
    """A host that is no part of the cluster."""

    name: str
    addresses: tuple[Address, ...]

    def __str__(self) -> str:
        return f"outside/{self.name}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a connection: what it is called, where its sockets live, and its address."""

    name: str
    namespace: Namespace
    address: Address

    def __str__(self) -> str:
        return f"{self.name} ({self.address})"


def with_wire_addresses(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """The nodes, each with an address of either family: those that lack one got theirs by their place in the list."""
    completed: list[Node] = []
    for place, node in enumerate(nodes, start=1):
        present = {family_of(address) for address in node.addresses}
        missing = tuple(first + place for family, first in WIRE_ADDRESSES.items() if family not in present)
        completed.append(replace(node, addresses=node.addresses + missing))
    return tuple(completed)


def gateways(node: Node) -> dict[Family, Address]:
    """The node's own address in its first pod range of each family: the first of the range, as bridges have it."""
    found: dict[Family, Address] = {}
    for network in node.pod_cidrs:
        found.setdefault(family_of(network), network.network_address + 1)
    return found


def of_family(addresses: Iterable[Address], family: Family) -> Address | None:
    """The first of `addresses` that is of `family`."""
    return next((address for address in addresses if family_of(address) is family), None)
