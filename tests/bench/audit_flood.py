"""What the audit log costs while packets are refused by the thousand, in a network namespace of its own.

Run with a rate and seconds it sends; run without, it measures and prints one JSON object. A
rate of 0 is as fast as a processor can.
"""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field

from logging_rules import logged_arriving, refuse_arriving, write_ours

from netpol.audit.capture.collector import Harvest
from netpol.audit.capture.listening import listening
from netpol.audit.clock import wall_clock

GROUP = 100
PREFIX = "1:NETPOL-PI-A7RH7BDHHEKCCTK3"
PORTS = range(1000, 1050)
BURSTS_PER_SECOND = 1000
WORK = range(20_000)
WORK_APART_SECONDS = 0.01


@dataclass(slots=True)
class Sum:
    """What harvests hold, added up."""

    counted: int = 0
    folds: int = 0
    lost: Counter[str] = field(default_factory=Counter)

    def add(self, harvest: Harvest) -> None:
        """A harvest more."""
        self.counted += sum(fold.count for fold in harvest.folds)
        self.folds += len(harvest.folds)
        self.lost.update({loss.value: number for loss, number in harvest.lost.items()})


def send(rate: int, seconds: float) -> None:
    """UDP to the refusing rule from several ports, each burst in its own moment."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in PORTS]
        for each, port in zip(sockets, PORTS, strict=True):
            each.connect(("127.0.0.2", port))
        ports = [each.send for each in sockets]
        began = time.monotonic()
        sent = 0
        while (passed := time.monotonic() - began) < seconds:
            wanted = sent + len(ports) if rate == 0 else int(passed * rate)
            for number in range(sent, wanted):
                ports[number % len(ports)](b"refused, and how often")
            sent = wanted
            if rate:
                time.sleep(1 / BURSTS_PER_SECOND)


class Neighbour:
    """Another thread of the process, which now and then has milliseconds of work: how long that takes it."""

    def __init__(self) -> None:
        self._milliseconds: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> dict[str, float]:
        """What its work took; it ends."""
        self._stop.set()
        self._thread.join()
        *_, p99 = statistics.quantiles(self._milliseconds, n=100)
        return {"p50_ms": statistics.median(self._milliseconds), "p99_ms": p99}

    def _run(self) -> None:
        while not self._stop.wait(WORK_APART_SECONDS):
            began = time.perf_counter()
            sum(WORK)
            sum(each & 1 for each in WORK)
            self._milliseconds.append((time.perf_counter() - began) * 1000)


def flood(senders: int, rate: int, seconds: float) -> dict[str, object]:
    """What a flood costs this process, and whether what it gathered adds up to what the kernel logged."""
    logged_before = logged_arriving()
    total = Sum()
    with listening(GROUP, 1.0, wall_clock) as collector:
        command = [sys.executable, "-m", "bench.audit_flood", str(rate // max(1, senders)), str(seconds)]
        children = [subprocess.Popen(command) for _ in range(senders)]
        neighbour = Neighbour()
        began, spent = time.monotonic(), time.thread_time()
        while time.monotonic() < began + seconds:
            total.add(collector.gather(0.2))
        cores = (time.thread_time() - spent) / (time.monotonic() - began)
        beside = neighbour.stop()
        for child in children:
            child.wait()
        total.add(collector.gather(0.5))
        total.add(collector.flush())
    packets = logged_arriving() - logged_before
    return {
        "packets": packets,
        "unaccounted": packets - total.counted - sum(total.lost.values()),
        "folds": total.folds,
        "lost": dict(total.lost),
        "cores": cores,
        "neighbour": beside,
    }


def measure() -> dict[str, object]:
    """The figures of a quiet time, of a flood of 20,000 packets a second, and of one as fast as can be."""
    write_ours()
    refuse_arriving("-p udp -d 127.0.0.2", PREFIX, GROUP)
    return {
        "nothing refused": flood(0, 0, 3.0),
        "20,000 packets/s": flood(1, 20_000, 10.0),
        "as fast as can be": flood(2, 0, 5.0),
    }


if __name__ == "__main__":
    if arguments := sys.argv[1:]:
        send(int(arguments[0]), float(arguments[1]))
    else:
        print(json.dumps(measure()))
