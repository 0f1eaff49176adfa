"""The ends of a logged packet, as records name them."""

from __future__ import annotations

from netpol.audit.history.world import World
from netpol.audit.record import ExternalParty, NodeParty, Party, PodParty
from netpol.model.networks import Address
from netpol.model.objects import Pod
from netpol.policy.judgement import NodeEnd, PodEnd


def party_at(address: Address, world: World) -> Party:
    """Who stood behind the address, or had stood there until not long before; a hostNetwork pod is its node (V9)."""
    end = world.end_at(address)
    if isinstance(end, PodEnd):
        return pod_party(end.pod, address)
    if isinstance(end, NodeEnd):
        return NodeParty(end.node.name, str(address))
    departed = world.departed(address)
    return ExternalParty(str(address)) if departed is None else pod_party(departed, address, gone=True)


def judged_party(digest: str, address: Address, world: World) -> Party:
    """The pod whose chain it was, whoever has the address; an outsider where that pod is not known."""
    if pod := world.pod(digest):
        return pod_party(pod, address)
    departed = world.departed_pod(digest)
    return ExternalParty(str(address)) if departed is None else pod_party(departed, address, gone=True)


def pod_party(pod: Pod, address: Address, *, gone: bool = False) -> PodParty:
    """The pod at this address."""
    return PodParty(pod.namespace, pod.name, pod.uid, str(address), pod.workload, gone)


def namespace_of(party: Party) -> str:
    """The namespace of a pod; "" for other parties."""
    return party.namespace if isinstance(party, PodParty) else ""
