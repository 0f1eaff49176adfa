"""Which living connections the policies deny (G11)."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass, replace
from functools import cache
from ipaddress import ip_network
from typing import Self

from netpol.compiler.ruleset import IpSet, NetworkMember
from netpol.dataplane.kernel import Flow
from netpol.model.networks import Address, Network
from netpol.model.objects import Node
from netpol.model.ports import Protocol
from netpol.model.snapshot import Snapshot
from netpol.policy.judgement import Connection, End, NodeEnd, PodEnd
from netpol.policy.verdict import Oracle


@dataclass(frozen=True, slots=True)
class UnknownAddresses:
    """The addresses of the node's pod range that no known pod has (G12)."""

    ranges: tuple[Network, ...]
    known: frozenset[bytes]

    @classmethod
    def of(cls, unknown: IpSet) -> Self:
        """What the set that shuts them out holds: ranges, and the known pods as holes in them."""
        members = [member for member in unknown.members if isinstance(member, NetworkMember)]
        return cls(
            tuple(ip_network((member.packed, member.prefix)) for member in members if not member.nomatch),
            frozenset(member.packed for member in members if member.nomatch),
        )

    def __contains__(self, address: object) -> bool:
        """True where `address` is one of them."""
        return (
            isinstance(address, Address)
            and address.packed not in self.known
            and any(address in network for network in self.ranges)
        )


def denied_flows(
    snapshot: Snapshot,
    node: str,
    local_addresses: Collection[Address],
    flows: Iterable[Flow],
    unknown: Container[Address] = (),
    oracle: Oracle | None = None,
) -> list[Flow]:
    """The flows whose opening this node would refuse now; a flow is judged at its ends on this node only.

    Every address of the node is the node, whether or not its Node object tells of it (G8). What `unknown`
    addresses have open is refused: it is left from a pod that is gone, or not known yet (G12). `oracle` is one
    of the snapshot, where the caller has it. What IPVS hands up here was judged by the service's address, which the
    flow has for its destination then (X5).
    """
    oracle = Oracle(snapshot) if oracle is None else oracle
    this_node = snapshot.nodes.get(node, Node(node))

    def end_at(address: Address) -> End:
        return NodeEnd(this_node, address) if address in local_addresses else oracle.end_at(address)

    def is_shut_out(source: Address, destination: Address) -> bool:
        return source not in local_addresses and any(
            address in unknown and address not in local_addresses for address in (source, destination)
        )

    # A busy node's connections differ by little but the port they come from, which no policy sees.
    @cache
    def is_refused(opened_by: Address, opened_to: Address, protocol: Protocol | None, port: int | None) -> bool:
        if is_shut_out(opened_by, opened_to):
            return True
        source, destination = end_at(opened_by), end_at(opened_to)
        here = [isinstance(end, PodEnd) and end.pod.node == node for end in (source, destination)]
        if not any(here):
            return False
        # A protocol that no policy can name is allowed as ICMP is: by rules without ports alone (G10).
        verdict = oracle.judge(Connection(source, destination, protocol or Protocol.ICMP, port))
        sides = (verdict.egress, verdict.ingress)
        return any(local and not side.allowed for local, side in zip(here, sides, strict=True))

    seen = (_as_seen(flow, local_addresses) for flow in flows)
    return [flow for flow in seen if is_refused(flow.source, flow.destination, flow.protocol, flow.port)]


def _as_seen(flow: Flow, local_addresses: Collection[Address]) -> Flow:
    """The flow by the addresses that the rules saw, of which those in INPUT see it before IPVS does."""
    if flow.asked is None or flow.destination not in local_addresses:
        return flow
    address, port = flow.asked
    return replace(flow, destination=address, port=port, asked=None)
