"""One line of the audit log: which packet, which pods, which verdict, by which policy and rule.

The fields' names and values are a promise to whoever reads the log by program;
docs/audit-log.md says what each means, and docs/audit-record.schema.json how each looks.
"""

from __future__ import annotations

import enum

import msgspec

ANNOTATION_KIND = "DefaultDenyAnnotation"
"""The kind of a namespace's DefaultDeny annotation, which isolates without a policy."""


class Action(enum.Enum):
    """What became of the packets of a record."""

    ALLOW = "allow"
    DENY = "deny"
    WOULD_DENY = "would-deny"
    """They passed, and would not if policies under audit were enforced (X16)."""
    UNKNOWN = "unknown"
    """They are counted in the record, and their verdict is not known.

    Another program logs to the agent's NFLOG group, or rules of another version are still in the kernel. A record
    that only says how many packets were lost has this action too.
    """


class Cause(enum.Enum):
    """Why; the values that a person's question has too (`netpol explain`) mean the same there."""

    RULE = "rule"
    IMPLICIT_ISOLATION = "implicit-isolation"
    TIER_DEFAULT = "tier-default"
    UNKNOWN_POD = "unknown-pod"
    """An address of the node's pod range that no known pod has (G12)."""
    INVALID = "invalid"
    """It opens no connection, and belongs to none that is known (G11); or it carries one that cannot be judged (X5)."""
    UNKNOWN = "unknown"
    """The verdict is certain, what led to it is not: no state of the cluster near that moment explains it."""
    LOST = "lost"
    """The record only counts packets of which nothing else could be written."""


class PodParty(msgspec.Struct, frozen=True, tag_field="kind", tag="pod"):
    """An end that is a pod, by what was known of it then; `gone`: deleted or finished before, minutes ago at most."""

    namespace: str
    name: str
    uid: str
    ip: str
    workload: str
    gone: bool = False


class NodeParty(msgspec.Struct, frozen=True, tag_field="kind", tag="node"):
    """An end that is a node."""

    name: str
    ip: str


class ExternalParty(msgspec.Struct, frozen=True, tag_field="kind", tag="external"):
    """An end that no known pod or node is."""

    ip: str


Party = PodParty | NodeParty | ExternalParty


class PolicyEntry(msgspec.Struct, frozen=True):
    """A rule that allowed, or (`rule` None) what isolates.

    The kind of a namespace's DefaultDeny annotation is its own: it has no uid and no
    generation, and says in `annotation` which one it is.
    """

    kind: str
    namespace: str
    name: str
    uid: str = ""
    generation: int = 0
    rule: int | None = None
    annotation: str | None = None


class MissEntry(msgspec.Struct, frozen=True):
    """The rule that came closest to allowing what was refused, and what it lacked."""

    kind: str
    namespace: str
    name: str
    uid: str
    generation: int
    rule: int | None
    lacked: tuple[str, ...]
    detail: str


class Record(msgspec.Struct, frozen=True):
    """A verdict on `count` packets alike, the first of which is described.

    `lost` are packets before it that are in no record. Times are RFC 3339 in UTC, to the microsecond.
    """

    ts: str
    node: str
    action: Action
    reason: Cause
    direction: str | None
    subject: Party | None
    peer: Party | None
    protocol: str | None
    src_port: int | None
    dst_port: int | None
    icmp_type: int | None
    policies: tuple[PolicyEntry, ...]
    isolating: tuple[PolicyEntry, ...]
    nearest_miss: MissEntry | None
    count: int
    first: str
    last: str
    lost: int = 0

    @classmethod
    def of_lost(cls, ts: str, node: str, lost: int) -> Record:
        """The record that only says how many packets are in no record."""
        return cls(
            *(ts, node, Action.UNKNOWN, Cause.LOST),
            *(None, None, None, None, None, None, None),
            policies=(),
            isolating=(),
            nearest_miss=None,
            count=0,
            first=ts,
            last=ts,
            lost=lost,
        )


def encode(record: Record) -> bytes:
    """The record as one line of JSON, without the line's end."""
    return msgspec.json.encode(record)


def decode(line: bytes) -> Record:
    """The record that the line holds; msgspec.DecodeError where it holds none."""
    return msgspec.json.decode(line, type=Record)
