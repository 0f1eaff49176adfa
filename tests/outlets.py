"""Outlets of the audit log in a test: records to put, and the account of what was put and what was read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import NamedTuple

from audit_records import refusal
from waiting import wait_until

from netpol.audit.outlets.counters import OutletCounters
from netpol.audit.outlets.outlet import Outlet, Sink
from netpol.audit.record import ExternalParty, PodParty, Record, decode
from netpol.telemetry.metrics import Metrics

NODE = "n1"
NOW = 1_767_323_045_678_000
"""2026-01-02T03:04:05.678Z."""

FRONT = PodParty("web", "front", "u1", "10.244.0.7", "Deployment/front")
OUTSIDE = ExternalParty("192.0.2.1")


def records(number: int) -> list[Record]:
    """So many, of which the n-th tells of n packets."""
    return [refusal(FRONT, OUTSIDE, port=each, count=each) for each in range(1, number + 1)]


def packets(read: Iterable[Record]) -> int:
    """All that the records tell of, and count."""
    return sum(record.count + record.lost for record in read)


def decoded(lines: bytes) -> list[Record]:
    """The records of the lines, all of which must be records, and ended."""
    *ended, rest = lines.split(b"\n")
    assert rest == b""
    return [decode(line) for line in ended]


class Running(NamedTuple):
    """An outlet at work, and what its metrics say."""

    outlet: Outlet
    metrics: Metrics

    def put(self, many: Iterable[Record]) -> int:
        """The packets of all these records, which are put."""
        many = list(many)
        for record in many:
            self.outlet.put(record)
        return packets(many)

    def counted(self, outcome: str) -> float:
        """The records of this outcome."""
        labels = {"outlet": self.outlet.name, "outcome": outcome}
        return self.metrics.registry.get_sample_value("netpol_audit_records_total", labels) or 0

    def lost_packets(self) -> float:
        """What the metrics tell of the packets lost here."""
        labels = {"where": self.outlet.name}
        return self.metrics.registry.get_sample_value("netpol_audit_lost_packets_total", labels) or 0

    def wait_for(self, number: int) -> None:
        """So many records are written or lost, or more."""
        wait_until(lambda: self.counted("written") + self.counted("lost") >= number)


def made(sink: Sink, now: Callable[[], int] = lambda: NOW) -> Running:
    """An outlet that is not started yet."""
    metrics = Metrics()
    return Running(Outlet("test", sink, NODE, OutletCounters(metrics, "test"), now), metrics)


@contextmanager
def running(sink: Sink) -> Iterator[Running]:
    """The outlet of this sink; at the end it is stopped."""
    work = made(sink)
    work.outlet.start()
    try:
        yield work
    finally:
        work.outlet.stop(5)


def ticking() -> Callable[[], int]:
    """A clock of the wall that goes on by a millisecond with every look."""
    looks = count()
    return lambda: NOW + 1000 * next(looks)


def seconds_of(call: Callable[[], object]) -> float:
    """How long it took."""
    began = time.monotonic()
    call()
    return time.monotonic() - began
