"""The parts of an audit log work together: what a kernel logs is in the file, as long as it is asked for."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import cycle
from pathlib import Path

import pytest
from builders import namespace
from logging_rules import logged_arriving, refuse_arriving
from outlets import made, seconds_of
from outlets import records as records_to_put
from packets import TCP, ipv4, logged, ports
from prometheus_client import CollectorRegistry
from waiting import PATIENCE_SECONDS, wait_until

from netpol.audit.capture.collector import Bounds, Clocks, Collector
from netpol.audit.capture.folding import MOST_FOLDS
from netpol.audit.capture.sounding import SECRET_BYTES, Soundings
from netpol.audit.clock import wall_clock
from netpol.audit.history.chronicle import Chronicle
from netpol.audit.judge import Judge
from netpol.audit.record import Cause, Record, decode
from netpol.audit.recorder import Recorder
from netpol.audit.recording import RECORDER_SECONDS, recording, stop_all
from netpol.model.facts import Fact, Key, Kind
from netpol.settings import AuditSettings, NodeOptions, RecordFile
from netpol.telemetry.metrics import Metrics

FACTS = (Fact(Key(Kind.NAMESPACE, "", "x"), namespace("x")),)


def records(path: Path) -> list[Record]:
    return [decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def send(number: int) -> None:
    """So many packets meet the rule."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(number):
            sender.sendto(b"x", ("127.0.0.1", 99))


@pytest.mark.kernel
def test_what_the_kernel_logs_is_in_the_file_and_at_the_end_all_of_it(private_network: None, tmp_path: Path) -> None:
    refuse_arriving("-p udp --dport 99", "1:NETPOL-INVALID")
    path = tmp_path / "audit.log"
    settings = AuditSettings(RecordFile(path), window_seconds=0.2)
    with recording(NodeOptions("n1"), settings, Metrics(CollectorRegistry())) as recorder:
        recorder.follow(FACTS, 0, wall_clock())
        wait_until(lambda: is_listening(100), "the group is read")
        send(3)
        wait_until(lambda: records(path), "a record")
        send(4)
    assert sum(record.count + record.lost for record in records(path)) == 7 == logged_arriving()
    assert {(record.node, record.reason) for record in records(path)} == {("n1", Cause.INVALID)}
    assert not is_listening(100)


class Scan:
    """A packet log that is never empty until it is stopped: ports upon ports, refused by one rule and another."""

    PREFIXES = ("1:NETPOL-INVALID", "1:NETPOL-UNKNOWN", "1:NETPOL-CUT")
    BATCH = 64

    def __init__(self) -> None:
        self.batches_read = 0
        self._is_stopped = False
        self._batches = cycle(
            b"".join(logged(ipv4(TCP, ports(40000, port)), prefix) for port in range(start, start + self.BATCH))
            for prefix in self.PREFIXES
            for start in range(0, MOST_FOLDS, self.BATCH)
        )

    def receive(self) -> bytes | None:
        if self._is_stopped:
            return None
        self.batches_read += 1
        return next(self._batches)

    def wait(self, _: float) -> None:
        """There is always something."""

    def take_overrun(self) -> bool:
        return False

    def stop(self) -> None:
        self._is_stopped = True


class Kept:
    """An outlet that keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def put(self, record: Record) -> None:
        self.records.append(record)


def test_the_end_waits_until_what_a_flood_left_is_judged() -> None:
    scan, outlet, options = Scan(), Kept(), NodeOptions("n1")
    clocks = Clocks(wall_clock, time.monotonic, time.sleep)
    soundings = Soundings(bytes(SECRET_BYTES), lambda *_: False)
    collector = Collector(scan, soundings, clocks, 60.0, Bounds(folds_per_second=MOST_FOLDS))
    chronicle, metrics = Chronicle(options), Metrics(CollectorRegistry())
    recorder = Recorder(
        lambda: nullcontext(collector), chronicle, Judge(chronicle, options), [outlet], "n1", metrics, wall_clock
    )
    recorder.follow(FACTS, 0, wall_clock())
    recorder.start()
    wait_until(lambda: scan.batches_read, "the flood is read")
    recorder.stop(RECORDER_SECONDS)
    assert sum(record.count + record.lost for record in outlet.records) == Scan.BATCH * scan.batches_read
    assert len(outlet.records) > MOST_FOLDS / 2


class Hanging:
    """A sink whose reader does not read until it is `released`."""

    def __init__(self) -> None:
        self.is_hanging = threading.Event()
        self.released = threading.Event()

    def write(self, _: Record) -> None:
        self.is_hanging.set()
        self.released.wait()

    def close(self) -> None:
        """Nothing is open."""


class Writing:
    """A sink that takes a record once its outlet was told to end."""

    def __init__(self, told: threading.Event) -> None:
        self.written: list[Record] = []
        self._told = told

    def write(self, record: Record) -> None:
        assert self._told.wait(PATIENCE_SECONDS)
        self.written.append(record)

    def close(self) -> None:
        """Nothing is open."""


def test_outlets_that_hang_share_the_time_and_take_none_from_one_that_writes() -> None:
    hanging = [Hanging() for _ in range(4)]
    outlets = [made(sink) for sink in hanging]
    try:
        for work, sink in zip(outlets, hanging, strict=True):
            work.outlet.start()
            work.put(records_to_put(2))
            wait_until(sink.is_hanging.is_set)
        last = made(Writing(outlets[-1].outlet._stopping))
        last.outlet.start()
        last.put(records_to_put(3))
        took = seconds_of(lambda: stop_all([*(work.outlet for work in outlets), last.outlet], 0.5, time.monotonic))
    finally:
        for sink in hanging:
            sink.released.set()
    assert 0.5 <= took < 1.0
    assert [work.counted("lost") for work in outlets] == [2] * 4
    assert (last.counted("written"), last.counted("lost")) == (3, 0)


@pytest.mark.kernel
def test_it_listens_where_it_is_told_to(private_network: None, tmp_path: Path) -> None:
    entered = list[bool]()

    @contextmanager
    def enter() -> Iterator[None]:
        entered.append(True)
        yield

    settings = AuditSettings(RecordFile(tmp_path / "audit.log"))
    with recording(NodeOptions("n1"), settings, Metrics(CollectorRegistry()), enter):
        wait_until(lambda: entered, "the namespace is entered")
        wait_until(lambda: is_listening(100), "the group is read")


def is_listening(group: int) -> bool:
    """True where somebody has the group, in the network namespace of this thread."""
    lines = Path("/proc/thread-self/net/netfilter/nfnetlink_log").read_text(encoding="ascii").splitlines()
    return any(int(line.split()[0]) == group for line in lines)
