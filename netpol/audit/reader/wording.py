"""A record's parts in short words, for people."""

from __future__ import annotations

from typing import Protocol

from netpol.audit.record import (
    ANNOTATION_KIND,
    Action,
    Cause,
    MissEntry,
    NodeParty,
    Party,
    PodParty,
    PolicyEntry,
    Record,
)
from netpol.listing import listed

_MOST_LISTED = 3

_CAUSES = {
    Cause.TIER_DEFAULT: "no rule decided, and so the tier's default does",
    Cause.UNKNOWN_POD: "an address of the node's pod range that no known pod has",
    Cause.INVALID: "it opens no connection and belongs to none that is known",
    Cause.UNKNOWN: "what led to this is unknown",
}


def end_name(end: Party) -> str:
    """The end's own name, or its address where it has none."""
    match end:
        case PodParty(namespace=namespace, name=name):
            return f"{namespace}/{name}"
        case NodeParty(name=name):
            return f"node/{name}"
    return end.ip


def end_words(end: Party | None) -> str:
    """The end by its own name, with a word where it was gone."""
    if end is None:
        return "-"
    return f"{end_name(end)} (gone)" if isinstance(end, PodParty) and end.gone else end_name(end)


def workload_words(end: Party | None) -> str:
    """The end by the name of the workload that it is a pod of, where it is one's."""
    if isinstance(end, PodParty):
        return f"{end.namespace}/{end.workload or end.name}"
    return end_words(end)


def port_words(record: Record) -> str:
    """What the packets were to: a port, or a type of ICMP message."""
    if record.protocol is None:
        return "-"
    if record.dst_port is not None:
        return f"{record.dst_port}/{record.protocol}"
    return record.protocol if record.icmp_type is None else f"{record.protocol} type {record.icmp_type}"


def policy_words(entry: PolicyEntry | MissEntry, direction: str | None) -> str:
    """The policy, the rule of it, or the annotation, whose name is a namespace's."""
    if entry.kind == ANNOTATION_KIND:
        return f"the DefaultDeny annotation of {entry.name}"
    policy = f"{entry.kind} {entry.namespace}/{entry.name}"
    return policy if entry.rule is None else f"{direction or 'rule'}[{entry.rule}] of {policy}"


class Grounds(Protocol):
    """What a record, or a kind of records, says of its verdict beside the policies."""

    @property
    def action(self) -> Action:
        """What became of the packets."""

    @property
    def reason(self) -> Cause:
        """Why."""

    @property
    def direction(self) -> str | None:
        """Which rules of the policies are meant."""


def why(record: Record) -> str:
    """What the verdict was by: rules that allow, or what isolates and the rule that came closest."""
    words = grounds_words(record, record.policies, record.isolating)
    if miss := record.nearest_miss:
        words.append(f"closest is {policy_words(miss, record.direction)}: {miss.detail}")
    return "; ".join(words)


def grounds_words(grounds: Grounds, policies: tuple[PolicyEntry, ...], isolating: tuple[PolicyEntry, ...]) -> list[str]:
    """What the verdict was by, whatever else differs from packet to packet: the policies that decided and isolated."""
    words = [_CAUSES[grounds.reason]] if grounds.reason in _CAUSES else []
    if policies:
        word = "allowed" if grounds.action is Action.ALLOW else "refused"
        words.append(f"{word} by {_listed(policies, grounds.direction)}")
    if isolating:
        words.append(f"isolated by {_listed(isolating, grounds.direction)}")
    return words


def _listed(entries: tuple[PolicyEntry, ...], direction: str | None) -> str:
    return listed(dict.fromkeys(policy_words(entry, direction) for entry in entries), _MOST_LISTED)
