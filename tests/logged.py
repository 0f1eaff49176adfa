"""Records of an audit log, as an agent writes them of what it refuses."""

from __future__ import annotations

from netpol.audit.record import Action, Cause, ExternalParty, NodeParty, Party, PodParty, Record
from netpol.model.moments import rfc3339
from netpol.model.policies import Direction
from netpol.policy.judgement import End, ExternalEnd, NodeEnd, PodEnd

BEGAN = 1_767_323_045_000_000


def party(end: End) -> Party:
    """The end as a record names it."""
    match end:
        case PodEnd(pod, address):
            return PodParty(pod.namespace, pod.name, pod.uid, str(address), pod.workload)
        case NodeEnd(node, address):
            return NodeParty(node.name, str(address))
        case ExternalEnd(address):
            return ExternalParty(str(address))


def refusal(
    subject: Party | None,
    peer: Party | None,
    port: int | None = 80,
    protocol: str | None = "TCP",
    *,
    direction: Direction = Direction.INGRESS,
    action: Action = Action.DENY,
    reason: Cause = Cause.IMPLICIT_ISOLATION,
    count: int = 1,
) -> Record:
    """The record of `count` packets to or from the subject."""
    return Record(
        rfc3339(BEGAN),
        "n1",
        action,
        reason,
        direction.value,
        subject,
        peer,
        protocol,
        None if port is None else 40_000,
        port,
        None,
        policies=(),
        isolating=(),
        nearest_miss=None,
        count=count,
        first=rfc3339(BEGAN),
        last=rfc3339(BEGAN),
    )
