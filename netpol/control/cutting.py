"""Which living connections the policies deny (G11)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from netpol.dataplane.kernel import Flow
from netpol.model.networks import Address
from netpol.model.objects import Node
from netpol.model.snapshot import Snapshot
from netpol.policy.judgement import Connection, End, NodeEnd, PodEnd
from netpol.policy.verdict import Oracle


def denied_flows(
    snapshot: Snapshot, node: str, local_addresses: Collection[Address], flows: Iterable[Flow]
) -> list[Flow]:
    """The flows whose opening this node would refuse now; a flow is judged at its ends on this node only.

    Every address of the node is the node, whether or not its Node object tells of it (G8).
    """
    oracle = Oracle(snapshot)
    this_node = snapshot.nodes.get(node, Node(node))

    def end_at(address: Address) -> End:
        return NodeEnd(this_node, address) if address in local_addresses else oracle.end_at(address)

    def is_refused(flow: Flow) -> bool:
        source, destination = end_at(flow.source), end_at(flow.destination)
        here = [isinstance(end, PodEnd) and end.pod.node == node for end in (source, destination)]
        if not any(here):
            return False
        verdict = oracle.judge(Connection(source, destination, flow.protocol, flow.port))
        sides = (verdict.egress, verdict.ingress)
        return any(local and not side.allowed for local, side in zip(here, sides, strict=True))

    return [flow for flow in flows if is_refused(flow)]
