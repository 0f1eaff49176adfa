"""The sets packets are looked up in first: who is isolated or unknown, who answered what was cut, what is a service."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from netpol.compiler import names
from netpol.compiler.ruleset import IpSet, NetworkMember, SetType
from netpol.compiler.terms import halved
from netpol.model.networks import Address, Family, Network, family_of
from netpol.model.objects import Node
from netpol.model.policies import Direction
from netpol.settings import NodeOptions

CUT_SECONDS = 300
"""How long the answering side of a UDP flow that was cut has to be silent until what it sends opens a flow of its own.

It is more than the 120 seconds for which conntrack by default takes an answered flow for a living one.
"""


def isolated_set(direction: Direction, family: Family, addresses: Iterable[Address]) -> IpSet:
    """The addresses of this node's pods that are isolated for `direction`, be it under audit."""
    members = frozenset(address.packed for address in addresses)
    meaning = f"pods of this node isolated for {direction.value}"
    return IpSet(names.isolated_set(direction, family), SetType.ADDRESSES, family, members, meaning)


def enforced_set(family: Family, addresses: Iterable[Address]) -> IpSet:
    """The addresses of this node's pods whose connections are not picked up in mid-stream (G11, X16)."""
    members = frozenset(address.packed for address in addresses)
    meaning = "pods of this node that anything enforced isolates"
    return IpSet(names.enforced_set(family), SetType.ADDRESSES, family, members, meaning)


def cut_set(family: Family) -> IpSet:
    """The memory of who answered UDP flows that were cut, and whom (G11)."""
    meaning = "who answered UDP flows that were cut, and whom"
    kind = SetType.ADDRESS_PORT_ADDRESSES
    return IpSet(names.cut_set(family), kind, family, meaning=meaning, timeout_seconds=CUT_SECONDS)


def services_set(family: Family) -> IpSet:
    """What the service proxy serves, which it fills in itself (X5); without a proxy nothing is in it."""
    meaning = "addresses and ports that the service proxy serves; it fills them in"
    return IpSet(names.services_set(family), SetType.ADDRESS_PORTS, family, meaning=meaning, filled_by_others=True)


def pod_cidrs(node: Node | None, options: NodeOptions) -> tuple[Network, ...]:
    """The node's pod ranges: those it states, and the option's where it states none of a family."""
    if options.fail_open:
        return ()
    stated = () if node is None else node.pod_cidrs
    families = {family_of(cidr) for cidr in stated}
    return (*stated, *(cidr for cidr in options.pod_cidrs if family_of(cidr) not in families))


def own_node(known: Node | None, told: Node | None) -> Node | None:
    """The node's own Node object as it is told of now; neither it nor its pod ranges are forgotten.

    Else whoever deletes it, or has it come back without a range, opens the range to unknown addresses (G12).
    """
    if known is None or told is None:
        return told or known
    return told if told.pod_cidrs else replace(told, pod_cidrs=known.pod_cidrs)


@dataclass(frozen=True, slots=True)
class PodRange:
    """The node's pod ranges of one family, as a hash:net can hold them."""

    family: Family
    networks: tuple[Network, ...]
    _bounds: tuple[tuple[bytes, bytes], ...]

    @classmethod
    def of(cls, family: Family, cidrs: Iterable[Network]) -> Self:
        """Those of `cidrs` that are of the family."""
        networks = tuple(n for cidr in cidrs if family_of(cidr) is family for n in halved(cidr))
        return cls(family, networks, tuple((n.network_address.packed, n.broadcast_address.packed) for n in networks))

    def __contains__(self, packed: bytes) -> bool:
        """True where an address of the family lies in one of the ranges."""
        return any(first <= packed <= last for first, last in self._bounds)

    def unknown_set(self, known: Iterable[bytes]) -> IpSet:
        """The ranges with the known pods inside carved out (G12); empty where no range is known."""
        single = {(packed, self.family.bits) for packed in known}
        whole = {(n.network_address.packed, n.prefixlen) for n in self.networks} - single
        members = {NetworkMember(*n) for n in whole} | {NetworkMember(*n, nomatch=True) for n in single}
        meaning = "addresses of this node's pod range that no known pod has"
        return IpSet(names.unknown_set(self.family), SetType.NETWORKS, self.family, frozenset(members), meaning)
