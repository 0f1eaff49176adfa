"""The audit log's thread: reads what the kernel logs, judges it, and hands the records out."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from netpol.audit.capture.collector import Harvest
from netpol.audit.capture.folding import Fold
from netpol.audit.capture.losses import Loss
from netpol.audit.record import Record
from netpol.audit.verdict_counts import count_record
from netpol.errors import KernelRefusal
from netpol.model.facts import Fact
from netpol.model.moments import Moment, rfc3339
from netpol.model.networks import Address
from netpol.model.objects import Pod
from netpol.telemetry.logs import Log
from netpol.telemetry.metrics import Metrics

GATHER_SECONDS = 0.2
"""How long the thread waits for packets before it looks whether a window has passed."""
PAUSE_SECONDS = 0.0002
"""After each record: who writes to the kernel waits a record's time for the interpreter's lock then, not a turn's."""
REOPEN_SECONDS = 5.0
MOST_HELD = 10_000
"""How many folds wait for the first list of the cluster's objects."""

log = Log("audit")


class Collecting(Protocol):
    """What is used of the collector."""

    def gather(self, timeout_seconds: float) -> Harvest:
        """What is due, after waiting for packets up to the time-out. Raises KernelRefusal."""

    def part(self, addresses: Collection[Address]) -> None:
        """Packets read from now on are in no fold with earlier ones to or from these addresses."""

    def flush(self) -> Harvest:
        """All that is left, due or not."""


class Remembering(Protocol):
    """What is used of the chronicle."""

    @property
    def is_known(self) -> bool:
        """True once it was told of the cluster."""

    def follow(self, facts: Sequence[Fact], began: Moment, ended: Moment) -> None:
        """The kernel has held these facts since a moment between the two."""


class Judging(Protocol):
    """What is used of the judge, which asks the chronicle."""

    def record(self, fold: Fold, now: Moment) -> Record | None:
        """The record of the fold; None where nobody wants one."""


class Writing(Protocol):
    """What is used of an outlet."""

    def put(self, record: Record) -> None:
        """The record is written some time, or counted as lost."""


class Recorder:
    """Every packet that the kernel logs is in a record of each outlet, or counted there as lost.

    Nothing that enforces waits for it: `follow` only leaves a note, from any thread.
    """

    def __init__(
        self,
        open_collector: Callable[[], AbstractContextManager[Collecting]],
        chronicle: Remembering,
        judge: Judging,
        outlets: Sequence[Writing],
        node: str,
        metrics: Metrics,
        now: Callable[[], Moment],
    ) -> None:
        self._open_collector = open_collector
        self._chronicle = chronicle
        self._judge = judge
        self._outlets = outlets
        self._node = node
        self._metrics = metrics
        for loss in Loss:
            # A series that is there before the first loss shows that it was the first.
            metrics.audit_lost_packets.labels(loss.value)
        self._now = now
        self._news: deque[tuple[Sequence[Fact], Moment, Moment]] = deque()
        self._held: list[Fold] = []
        self._lost = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)

    def start(self) -> None:
        """What the kernel logs is recorded from here on."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """What was logged so far is with the outlets, unless that takes longer."""
        self._stop.set()
        self._thread.join(seconds)
        if self._thread.is_alive():
            log.error("the audit thread does not end", seconds=seconds)

    def follow(self, facts: Sequence[Fact], began: Moment, ended: Moment) -> None:
        """The kernel has held these facts since a moment between the two."""
        self._news.append((facts, began, ended))

    def _run(self) -> None:
        """A group that somebody else has, or a kernel that does not log, is tried again for as long as it takes."""
        said = ""
        while not self._stop.is_set():
            try:
                with self._open_collector() as collector:
                    if said:
                        log.info("what is refused is recorded again")
                    said = ""
                    self._metrics.audit_listening.set(1)
                    self._collect(collector)
            except KernelRefusal as refusal:
                if str(refusal) != said:
                    said = str(refusal)
                    log.warning("nothing is recorded of what is refused", reason=said, retry_s=REOPEN_SECONDS)
            except Exception:
                log.exception("the audit log is begun again")
            finally:
                self._metrics.audit_listening.set(0)
            self._stop.wait(REOPEN_SECONDS)
            self._hear()

    def _collect(self, collector: Collecting) -> None:
        try:
            while not self._stop.is_set():
                self._take(collector.gather(GATHER_SECONDS))
                collector.part(self._hear())
                if self._chronicle.is_known or len(self._held) > MOST_HELD:
                    self._write()
        finally:
            self._take(collector.flush())
            self._hear()
            self._write()

    def _hear(self) -> frozenset[Address]:
        """What was told of the cluster is known; returns the addresses of pods that it was about.

        Where nobody listens, it must not pile up.
        """
        concerned: set[Address] = set()
        while self._news:
            facts, began, ended = self._news.popleft()
            self._chronicle.follow(facts, began, ended)
            concerned.update(*(fact.value.addresses for fact in facts if isinstance(fact.value, Pod)))
        return frozenset(concerned)

    def _take(self, harvest: Harvest) -> None:
        """What was gathered is to be written."""
        self._held += harvest.folds
        for loss, packets in harvest.lost.items():
            self._lose(loss, packets)

    def _lose(self, loss: Loss, packets: int) -> None:
        """So many packets more are only counted: at once by the metric, and in the next record."""
        self._metrics.audit_lost_packets.labels(loss.value).inc(packets)
        self._lost += packets

    def _write(self) -> None:
        """Everything held is with the outlets."""
        folds, self._held = self._held, []
        for fold in folds:
            record = self._judged(fold)
            if record is not None:
                self._put(record)
            self._stop.wait(PAUSE_SECONDS)
        if self._lost:
            self._put(Record.of_lost(rfc3339(self._now()), self._node, 0))

    def _judged(self, fold: Fold) -> Record | None:
        try:
            return self._judge.record(fold, self._now())
        except Exception:
            # The next fold may be another matter; these packets are at least counted.
            log.exception("a verdict could not be explained", prefix=fold.prefix, packet=fold.packet)
            self._lose(Loss.JUDGE, fold.count)
            return None

    def _put(self, record: Record) -> None:
        """Each outlet has the record, with what was lost before it."""
        record = msgspec.structs.replace(record, lost=record.lost + self._lost)
        self._lost = 0
        count_record(self._metrics, record)
        for outlet in self._outlets:
            outlet.put(record)
