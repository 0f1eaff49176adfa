"""What led to a verdict of the kernel, as one state of the cluster explains it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netpol.audit.capture.packet import Packet
from netpol.audit.history.world import World
from netpol.audit.parties import judged_party, namespace_of, party_at, pod_party
from netpol.audit.record import Cause, Party
from netpol.compiler.log_points import LoggedOutcome, LogPoint
from netpol.model.networks import Address, family_of
from netpol.model.policies import Direction
from netpol.model.ports import PROTOCOLS_BY_NUMBER, OtherProtocol, Protocol
from netpol.model.treatment import AuditLevel
from netpol.policy.judgement import (
    Connection,
    Decision,
    NearestMiss,
    PodEnd,
    PolicyReference,
    Reason,
    Reference,
)
from netpol.policy.verdict import Detail

_REASONS = {
    LoggedOutcome.MIDSTREAM: Cause.INVALID,
    LoggedOutcome.CUT: Cause.INVALID,
    LoggedOutcome.UNKNOWN_ADDRESS: Cause.UNKNOWN_POD,
    LoggedOutcome.TUNNELLED: Cause.INVALID,
}
"""The reasons that the log point alone tells."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a record says beside what the packet itself says.

    Where `direction` is None it is not known whose verdict it was, and the subject is the source.
    """

    reason: Cause
    direction: Direction | None
    subject: Party
    peer: Party
    policies: tuple[PolicyReference, ...] = ()
    isolating: tuple[Reference, ...] = ()
    nearest_miss: NearestMiss | None = None


def explained(point: LogPoint, packet: Packet, world: World) -> Finding | None:
    """What led to this verdict on the packet; None where the state of the cluster leads to another."""
    if point.direction is not None:
        return _judged(point.outcome, point.direction, point.pod, packet, world)
    if point.outcome is LoggedOutcome.UNKNOWN_ADDRESS:
        return _unknown_pod(packet, world)
    return _invalid(packet, world)


def unexplained(point: LogPoint | None, packet: Packet, world: World) -> Finding:
    """What is certain of the verdict by the log point alone, with who the ends were."""
    if point is not None and point.direction is not None:
        own, peer = _sides(point.direction, packet)
        return Finding(Cause.UNKNOWN, point.direction, judged_party(point.pod, own, world), party_at(peer, world))
    reason = Cause.UNKNOWN if point is None else _REASONS[point.outcome]
    return Finding(reason, None, party_at(packet.source, world), party_at(packet.destination, world))


def protocol_of(packet: Packet) -> Protocol | OtherProtocol:
    """The packet's protocol; ICMP is that of its own family."""
    return PROTOCOLS_BY_NUMBER[family_of(packet.source)].get(packet.protocol) or OtherProtocol(packet.protocol)


def _judged(outcome: LoggedOutcome, direction: Direction, digest: str, packet: Packet, world: World) -> Finding | None:
    """By the policies of the pod that has this digest, where it also had the address."""
    own, peer = _sides(direction, packet)
    end = world.end_at(own)
    if not isinstance(end, PodEnd) or end.pod is not world.pod(digest):
        return None
    connection = Connection(
        world.end_at(packet.source), world.end_at(packet.destination), protocol_of(packet), packet.destination_port
    )
    detail = Detail.REASONS if outcome is LoggedOutcome.ALLOWED else Detail.FULL
    decision = _agreeing(outcome, world.oracle.decide(direction, connection, detail))
    if decision is None:
        return None
    ends = pod_party(end.pod, own), party_at(peer, world)
    if not packet.opens:
        # Only a dry run has such packets judged by policies: enforced, they are refused whoever sends them (G11).
        return Finding(Cause.INVALID, direction, *ends, isolating=decision.isolating)
    reason = Cause(decision.reason.value)
    return Finding(reason, direction, *ends, decision.policies, decision.isolating, decision.nearest_miss)


def _agreeing(outcome: LoggedOutcome, decision: Decision) -> Decision | None:
    """The decision that led to this outcome; None where it led to another."""
    match outcome:
        case LoggedOutcome.DENIED:
            return None if decision.allowed else decision
        case LoggedOutcome.WOULD_BE_DENIED:
            return decision.would_deny
        case _:
            return decision if decision.reason is Reason.RULE else None


def _unknown_pod(packet: Packet, world: World) -> Finding | None:
    """G12: the source is looked at first, as the kernel does."""
    for direction in (Direction.EGRESS, Direction.INGRESS):
        own, peer = _sides(direction, packet)
        if world.is_unknown(own):
            return Finding(Cause.UNKNOWN_POD, direction, party_at(own, world), party_at(peer, world))
    return None


def _invalid(packet: Packet, world: World) -> Finding | None:
    """G11, X5: of the isolated ends on this node the first of which anything is recorded (X17)."""
    findings = list(_isolated_ends(packet, world))
    recorded = (each for each in findings if world.audit_level(namespace_of(each.subject)) is not AuditLevel.NONE)
    return next(recorded, findings[0] if findings else None)


def _isolated_ends(packet: Packet, world: World) -> Iterator[Finding]:
    """First the ends that are isolated for the way the packet goes, the destination before the source.

    A packet in mid-stream may as well be an answer: then it meets what isolates an end for the other way.
    """
    for of_answer in (False, True):
        for direction in Direction:
            own, peer = _sides(direction, packet)
            end = world.end_at(own)
            if isinstance(end, PodEnd) and world.is_local(end):
                isolating = world.oracle.isolating(end.pod, _other(direction) if of_answer else direction)
                if isolating:
                    subject, other = pod_party(end.pod, own), party_at(peer, world)
                    yield Finding(Cause.INVALID, direction, subject, other, isolating=isolating)


def _sides(direction: Direction, packet: Packet) -> tuple[Address, Address]:
    """The addresses of the end that is judged for the direction, and of its peer."""
    ends = packet.source, packet.destination
    return ends if direction is Direction.EGRESS else (ends[1], ends[0])


def _other(direction: Direction) -> Direction:
    return Direction.EGRESS if direction is Direction.INGRESS else Direction.INGRESS
