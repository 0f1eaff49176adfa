"""Records of an audit log, and logs of them, as tests need them.

A refusal of `shop/web-1` by `shop/db-1` is what a record is where nothing else is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from netpol.audit.record import (
    ANNOTATION_KIND,
    Action,
    Cause,
    ExternalParty,
    MissEntry,
    NodeParty,
    Party,
    PodParty,
    PolicyEntry,
    Record,
    encode,
)
from netpol.model.moments import SECOND, Moment, parse_rfc3339, rfc3339
from netpol.model.policies import Direction
from netpol.policy.judgement import End, ExternalEnd, NodeEnd, PodEnd

START = parse_rfc3339("2026-01-02T03:04:05.678901Z")

DB = PodParty("shop", "db-1", "uid-of-db-1", "10.0.0.2", "StatefulSet/db")
WEB = PodParty("shop", "web-1", "uid-of-web-1", "10.0.0.1", "Deployment/web")
SHELL = PodParty("ops", "shell", "uid-of-shell", "10.0.1.1", "")

ANNOTATION = PolicyEntry(ANNOTATION_KIND, "shop", "shop", annotation="net.beta.kubernetes.io/network-policy")
POLICY = PolicyEntry("NetworkPolicy", "shop", "db", "uid-of-policy", 3)
RULE = PolicyEntry("NetworkPolicy", "shop", "db", "uid-of-policy", 3, 0)
DETAIL = "it wants pods with role=api, and shop/web-1 has no role"
MISS = MissEntry("NetworkPolicy", "shop", "db", "uid-of-policy", 3, 0, ("peer label",), DETAIL)


def at(seconds: float) -> Moment:
    """The moment so long after START."""
    return START + int(seconds * SECOND)


def record(first: float = 0.0, last: float | None = None, **changes: object) -> Record:
    """The record of packets between these seconds after START; `changes` are of its fields."""
    refusal = Record(
        ts=rfc3339(at(first if last is None else last)),
        node="n1",
        action=Action.DENY,
        reason=Cause.IMPLICIT_ISOLATION,
        direction="ingress",
        subject=DB,
        peer=WEB,
        protocol="TCP",
        src_port=40000,
        dst_port=5432,
        icmp_type=None,
        policies=(),
        isolating=(POLICY,),
        nearest_miss=MISS,
        count=1,
        first=rfc3339(at(first)),
        last=rfc3339(at(first if last is None else last)),
    )
    return msgspec.structs.replace(refusal, **changes)


def allowance(first: float = 0.0, **changes: object) -> Record:
    """The record of a packet that the rule of the policy allowed."""
    allowed = record(first, action=Action.ALLOW, reason=Cause.RULE, policies=(RULE,), isolating=(), nearest_miss=None)
    return msgspec.structs.replace(allowed, **changes)


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
    """The record of `count` packets to or from the subject, of which no policy is known."""
    return record(
        subject=subject,
        peer=peer,
        src_port=None if port is None else 40_000,
        dst_port=port,
        protocol=protocol,
        direction=direction.value,
        action=action,
        reason=reason,
        count=count,
        isolating=(),
        nearest_miss=None,
    )


def party(end: End) -> Party:
    """The end as a record names it."""
    match end:
        case PodEnd(pod, address):
            return PodParty(pod.namespace, pod.name, pod.uid, str(address), pod.workload)
        case NodeEnd(node, address):
            return NodeParty(node.name, str(address))
        case ExternalEnd(address):
            return ExternalParty(str(address))


def lines(records: Iterable[Record]) -> bytes:
    """The records as they stand in a log."""
    return b"".join(encode(record) + b"\n" for record in records)


def write(path: Path, *records: Record) -> Path:
    """The log at `path` goes on with these records."""
    with path.open("ab") as log:
        log.write(lines(records))
    return path


def put_aside(path: Path, until: str) -> Path:
    """The log is put aside as rotation does it, at the time `until`, and there is none any more."""
    return path.rename(path.with_name(f"{path.stem}-{until}{path.suffix}"))
