"""What many records come to: repeats of a verdict in one, and totals by workload."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter

import msgspec

from netpol.audit.reader.wording import port_words, workload_words
from netpol.audit.record import Action, Cause, Party, PodParty, PolicyEntry, Record


def folded(records: Iterable[Record]) -> list[Record]:
    """One record for all that differ only in source port, number and time, in the order of their last packets.

    What only counts lost packets is left out, and so is what was lost before others.
    """
    folds: dict[Record, Record] = {}
    for record in records:
        if is_of_packets(record):
            verdict = msgspec.structs.replace(record, ts="", src_port=None, count=0, first="", last="", lost=0)
            folds[verdict] = _joined(folds.get(verdict), record)
    return sorted(folds.values(), key=attrgetter("last"))


def is_of_packets(record: Record) -> bool:
    """False where the record only counts packets that are in none."""
    return record.reason is not Cause.LOST


def _joined(fold: Record | None, record: Record) -> Record:
    if fold is None:
        return record
    return msgspec.structs.replace(
        fold,
        ts=max(fold.ts, record.ts),
        src_port=fold.src_port if fold.src_port == record.src_port else None,
        count=fold.count + record.count,
        first=min(fold.first, record.first),
        last=max(fold.last, record.last),
        lost=fold.lost + record.lost,
    )


class PacketKind(msgspec.Struct, frozen=True):
    """What the packets that are added up have in common: a pod without a workload is its own."""

    action: Action
    reason: Cause
    direction: str | None
    subject: str
    peer: str
    port: str

    @classmethod
    def of(cls, record: Record) -> PacketKind:
        """The kind of the record's packets."""
        ends = workload_words(record.subject), workload_words(record.peer)
        return cls(record.action, record.reason, record.direction, *ends, port_words(record))


class Total(msgspec.Struct, frozen=True):
    """What the packets of one kind between two workloads come to.

    `subject_pods` and `peer_pods` are how many pods each end was, 0 where it is none; `policies` are
    all that allowed, and `isolating` all that isolated, in any of the records.
    """

    kind: PacketKind
    packets: int
    subject_pods: int
    peer_pods: int
    first: str
    last: str
    policies: tuple[PolicyEntry, ...]
    isolating: tuple[PolicyEntry, ...]


def encode_total(total: Total) -> bytes:
    """The total as one line of JSON, in which the fields of its kind are its own."""
    fields = msgspec.structs.asdict(total)
    return msgspec.json.encode(msgspec.structs.asdict(fields.pop("kind")) | fields)


def totals(records: Iterable[Record]) -> list[Total]:
    """A total for each kind of packets between workloads, that of the most packets first.

    One kind are those of the same port and reason; what was refused and what would be is not added up,
    nor what was sent and what was received.
    """
    gatherings: dict[PacketKind, _Gathering] = {}
    for record in records:
        if is_of_packets(record):
            gatherings.setdefault(PacketKind.of(record), _Gathering(record.first, record.last)).add(record)
    return sorted((gathering.total(kind) for kind, gathering in gatherings.items()), key=_rank)


def _rank(total: Total) -> tuple[int, str, str, str]:
    return -total.packets, total.kind.subject, total.kind.peer, total.kind.port


@dataclass(slots=True)
class _Gathering:
    """A total that is being added up; the pods are told apart by uid where it is known."""

    first: str
    last: str
    packets: int = 0
    subjects: set[tuple[str, str, str]] = field(default_factory=set)
    peers: set[tuple[str, str, str]] = field(default_factory=set)
    policies: dict[PolicyEntry, None] = field(default_factory=dict)
    isolating: dict[PolicyEntry, None] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        self.first = min(self.first, record.first)
        self.last = max(self.last, record.last)
        self.packets += record.count
        self.subjects.update(_pods(record.subject))
        self.peers.update(_pods(record.peer))
        self.policies.update(dict.fromkeys(record.policies))
        self.isolating.update(dict.fromkeys(record.isolating))

    def total(self, kind: PacketKind) -> Total:
        return Total(
            kind,
            self.packets,
            len(self.subjects),
            len(self.peers),
            self.first,
            self.last,
            tuple(self.policies),
            tuple(self.isolating),
        )


def _pods(end: Party | None) -> Iterable[tuple[str, str, str]]:
    return [(end.namespace, end.name, end.uid)] if isinstance(end, PodParty) else ()
