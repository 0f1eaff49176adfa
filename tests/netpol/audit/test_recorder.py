"""The audit thread: whatever the collector, the judge or the kernel do, each packet is in a record or counted."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Self

import msgspec
import pytest
from builders import address, namespace, pod
from prometheus_client import CollectorRegistry
from waiting import wait_until

from netpol.audit.capture.collector import Harvest
from netpol.audit.capture.folding import Fold
from netpol.audit.capture.losses import Loss
from netpol.audit.capture.packet import Packet
from netpol.audit.record import Action, Cause, Record
from netpol.audit.recorder import Recorder
from netpol.errors import KernelRefusal
from netpol.model.facts import Fact, Key, Kind
from netpol.model.moments import Moment, rfc3339
from netpol.model.networks import Address
from netpol.telemetry.metrics import Metrics

FACTS = (Fact(Key(Kind.NAMESPACE, "", "x"), namespace("x")),)
NOTHING = Record.of_lost(rfc3339(0), "n1", 0)
DEADLINE_SECONDS = 10.0


def fold(count: int, prefix: str = "1:NETPOL-INVALID") -> Fold:
    return Fold(prefix, Packet(address("10.0.0.1"), address("10.0.0.2"), 6, 1000, 80), count, 0, 0)


def harvest(*folds: Fold, lost: Mapping[Loss, int] | None = None) -> Harvest:
    return Harvest(folds, lost or {})


class Script:
    """A collector that hands out what it is given, a chronicle, a judge and an outlet, all watched."""

    def __init__(self, *harvests: Harvest, left: Harvest | None = None) -> None:
        self.harvests = deque(harvests)
        self.left = left or harvest()
        self.opened = 0
        self.parted: set[Address] = set()
        self.refusals: deque[Exception] = deque()
        self.told: list[tuple[Sequence[Fact], Moment, Moment]] = []
        self.records: list[Record] = []
        self.judge: Callable[[Fold], Record | None] = self.judged
        self.idle = threading.Event()
        self.metrics = Metrics(CollectorRegistry())

    # --- the collector

    def open(self) -> Self:
        self.opened += 1
        if self.refusals:
            raise self.refusals.popleft()
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def gather(self, timeout_seconds: float) -> Harvest:
        if self.harvests:
            return self.harvests.popleft()
        self.idle.wait(timeout_seconds)
        return harvest()

    def part(self, addresses: Collection[Address]) -> None:
        self.parted |= set(addresses)

    def flush(self) -> Harvest:
        left, self.left = self.left, harvest()
        return left

    # --- the chronicle

    @property
    def is_known(self) -> bool:
        return bool(self.told)

    def follow(self, facts: Sequence[Fact], began: Moment, ended: Moment) -> None:
        self.told.append((facts, began, ended))

    # --- the judge

    def record(self, fold: Fold, _now: Moment) -> Record | None:
        return self.judge(fold)

    @staticmethod
    def judged(fold: Fold) -> Record | None:
        return msgspec.structs.replace(NOTHING, action=Action.DENY, reason=Cause.INVALID, count=fold.count)

    # --- the outlet

    def put(self, record: Record) -> None:
        self.records.append(record)

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"netpol_{name}", labels) or 0.0

    @property
    def accounted(self) -> int:
        return sum(record.count + record.lost for record in self.records)


def run(script: Script, until: Callable[[], bool], facts: Sequence[Fact] = FACTS) -> Recorder:
    """A recorder that has come this far, and is stopped."""
    recorder = started(script, facts)
    wait_until(until, "recorded")
    recorder.stop(DEADLINE_SECONDS)
    return recorder


def started(script: Script, facts: Sequence[Fact] = FACTS) -> Recorder:
    recorder = Recorder(script.open, script, script, [script], "n1", script.metrics, lambda: 0)
    if facts:
        recorder.follow(facts, 0, 1)
    recorder.start()
    return recorder


def test_each_fold_is_a_record_of_the_outlet() -> None:
    script = Script(harvest(fold(3)), harvest(fold(4)))
    run(script, lambda: script.accounted == 7)
    assert [(record.action, record.count) for record in script.records] == [(Action.DENY, 3), (Action.DENY, 4)]


def test_what_was_lost_is_in_the_next_record() -> None:
    script = Script(harvest(fold(3), lost={Loss.KERNEL: 5, Loss.TABLE: 2}))
    run(script, lambda: script.accounted == 10)
    assert [(record.count, record.lost) for record in script.records] == [(3, 7)]
    assert script.metric("audit_lost_packets_total", where="kernel") == 5
    assert script.metric("audit_lost_packets_total", where="table") == 2


def test_what_was_lost_with_nothing_to_record_is_a_record_of_its_own() -> None:
    script = Script(harvest(lost={Loss.RATE: 5}))
    run(script, lambda: script.accounted == 5)
    assert [(record.action, record.reason) for record in script.records] == [(Action.UNKNOWN, Cause.LOST)]


def test_what_nobody_wants_is_in_no_record_and_not_lost() -> None:
    script = Script(harvest(fold(3)), harvest(fold(4)))
    script.judge = lambda each: None if each.count == 3 else script.judged(each)
    run(script, lambda: script.accounted == 4)
    assert len(script.records) == 1


def test_a_verdict_that_cannot_be_explained_is_counted_as_lost() -> None:
    def fail(_: Fold) -> Record | None:
        raise ValueError("a bug")

    script = Script(harvest(fold(3)))
    script.judge = fail
    run(script, lambda: script.accounted == 3)
    assert [(record.reason, record.lost) for record in script.records] == [(Cause.LOST, 3)]
    assert script.metric("audit_lost_packets_total", where="judge") == 3


def test_verdicts_wait_for_the_first_facts_of_the_cluster() -> None:
    script = Script(harvest(fold(3)))
    recorder = started(script, ())
    wait_until(lambda: not script.harvests, "recorded")
    assert script.records == []
    recorder.follow(FACTS, 0, 1)
    wait_until(lambda: script.accounted == 3, "recorded")
    recorder.stop(DEADLINE_SECONDS)
    assert script.told == [(FACTS, 0, 1)]


def test_at_the_end_everything_is_written() -> None:
    script = Script(left=harvest(fold(9), lost={Loss.KERNEL: 1}))
    recorder = started(script, ())
    wait_until(lambda: script.opened == 1, "recorded")
    recorder.stop(DEADLINE_SECONDS)
    assert script.accounted == 10


@pytest.mark.parametrize("error", [KernelRefusal("somebody else has it"), OSError("a bug")])
def test_a_group_that_cannot_be_read_is_tried_again(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netpol.audit.recorder.REOPEN_SECONDS", 0.01)
    script = Script(harvest(fold(3)))
    script.refusals.extend([error, error])
    recorder = started(script)
    wait_until(lambda: script.accounted == 3, "recorded")
    assert script.opened == 3
    assert script.metric("audit_listening") == 1
    recorder.stop(DEADLINE_SECONDS)
    assert script.metric("audit_listening") == 0


def test_what_is_told_of_the_cluster_is_heard_though_nobody_can_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netpol.audit.recorder.REOPEN_SECONDS", 0.01)
    script = Script()
    script.refusals.extend([KernelRefusal("somebody else has it")] * 100_000)
    recorder = started(script)
    wait_until(lambda: script.told, "it is heard")
    recorder.stop(DEADLINE_SECONDS)
    assert script.told == [(FACTS, 0, 1)]


def test_what_is_told_of_a_pod_parts_what_its_addresses_sent_before() -> None:
    web = pod("x/web", "10.0.0.2", "fd00::2")
    script = Script()
    recorder = started(script, (Fact(Key(Kind.POD, "x", "web"), web), Fact(Key(Kind.POD, "x", "gone"), None)))
    wait_until(lambda: script.parted, "it is heard")
    recorder.stop(DEADLINE_SECONDS)
    assert script.parted == set(web.addresses)
