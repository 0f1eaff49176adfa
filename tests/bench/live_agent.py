"""The measuring half of `live`, run in a namespace of its own: prints one JSON object."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from api_child import ApiChild
from bench.live_events import Event, Events
from bench.live_mirror import Mirror
from bench.live_world import manifests, write_list
from bench.manifests import NODE, Size

from netpol.compiler.engine import Touched
from netpol.dataplane.apply import Kernel
from netpol.dataplane.conntrack import NetlinkFlows
from netpol.dataplane.ipset import NetlinkSets
from netpol.dataplane.iptables import IptablesTables
from netpol.dataplane.plan import Stale, plan
from netpol.settings import Variant

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "40"))
ROLLED = 1_000
IDLE_SECONDS = float(os.environ.get("BENCH_IDLE", "60"))
APART_SECONDS = 0.05
START_SECONDS = 60.0
TICKS = os.sysconf("SC_CLK_TCK")


class Agent:
    """The agent as a process, from its start to `stop`."""

    def __init__(self, url: str, *flags: str) -> None:
        self.began = time.monotonic()
        command = [sys.executable, "-m", "netpol", "run", "--run-firewall", "--master", url]
        self._process = subprocess.Popen(
            [*command, "--hostname-override", NODE, "--iptables-variant", "nft", *flags],
            stderr=subprocess.DEVNULL,
        )

    def wait_until_ready(self) -> float:
        """The seconds from the start of the process until it says that the kernel is programmed."""
        while time.monotonic() < self.began + START_SECONDS:
            try:
                with urllib.request.urlopen("http://127.0.0.1:20244/readyz") as answer:
                    answer.read()
                return time.monotonic() - self.began
            except OSError:
                time.sleep(0.01)
        raise SystemExit("the agent did not get ready")

    def cpu_seconds(self) -> float:
        """The processor time of the agent, and of the tools that it has started and seen end."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS

    def peak_megabytes(self) -> float:
        """The most memory that the agent had at any time."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

    def kill(self) -> None:
        """The agent is gone, if it was not before."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """The agent has ended as it was told to."""
        self._process.send_signal(signal.SIGTERM)
        if self._process.wait(30):
            raise SystemExit(f"the agent ended with status {self._process.returncode}")


def measure(size: Size) -> dict[str, Any]:
    """Every figure of the agent in a cluster of this size."""
    objects = manifests(size)
    mirror = Mirror(NODE)
    mirror.apply(*(("put", manifest) for manifest in objects))
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as directory:
        write_list(Path(directory, "cluster.json"), objects)
        with ApiChild(Path(directory, "cluster.json")) as server:
            figures["cold_s"] = _start_and_stop(server.url, mirror)
            figures["again_s"], figures["again_writes"] = _restart(server.url, mirror)
            agent = Agent(server.url)
            agent.wait_until_ready()
            events = Events(objects)
            figures["events"] = {name: latencies(make(), server, mirror) for name, make in events.kinds().items()}
            figures["roll"] = _roll(events.roll(ROLLED), server, mirror, agent)
            figures["drift"] = _drift(mirror)
            before = agent.cpu_seconds()
            time.sleep(IDLE_SECONDS)
            figures["idle_percent"] = 100 * (agent.cpu_seconds() - before) / IDLE_SECONDS
            figures["peak_mb"] = agent.peak_megabytes()
            agent.stop()
    return figures


def _start_and_stop(url: str, mirror: Mirror) -> float:
    agent = Agent(url)
    seconds = agent.wait_until_ready()
    if drift := _drift(mirror):
        raise SystemExit(f"the kernel differs after the first start: {drift}")
    agent.stop()
    return seconds


def _restart(url: str, mirror: Mirror) -> tuple[float, int]:
    mirror.start_counting()
    agent = Agent(url)
    seconds = agent.wait_until_ready()
    agent.stop()
    mirror.wait(Touched())
    return seconds, mirror.transactions


def latencies(events: Iterator[Event], server: ApiChild, mirror: Mirror) -> dict[str, float]:
    """Of events that change this node's kernel: p50, p99 and the longest, in milliseconds."""
    times: list[float] = []
    for event in islice(events, ROUNDS * 20):
        mirror.start_counting()
        touched = mirror.apply(event)
        sent = _send(server, event)
        if touched.sets or touched.chains:
            times.append((mirror.wait(touched) - sent) / 1e6)
            time.sleep(APART_SECONDS)
        if len(times) == ROUNDS:
            break
    if not times:
        return {}
    return {"n": len(times), "p50": statistics.median(times), "p99": _percentile(times, 99), "most": max(times)}


def _roll(events: list[Event], server: ApiChild, mirror: Mirror, agent: Agent) -> dict[str, float]:
    cpu, began = agent.cpu_seconds(), time.monotonic()
    for event in events:
        last = _send(server, event)
    sending = time.monotonic() - began
    touched = mirror.apply(*events)
    seconds = (mirror.wait(touched) - last) / 1e9
    time.sleep(1)
    return {"events": len(events), "sending_s": sending, "right_after_s": seconds, "cpu_s": agent.cpu_seconds() - cpu}


def _send(server: ApiChild, event: Event) -> int:
    action, manifest = event
    if action == "put":
        return server.put(manifest).sent_ns
    metadata = manifest["metadata"]
    return server.delete(manifest["kind"], metadata.get("namespace", ""), metadata["name"]).sent_ns


def _drift(mirror: Mirror) -> int:
    """How many steps the kernel is from what it should hold."""
    with NetlinkSets() as sets, NetlinkFlows() as flows:
        ruleset = mirror.ruleset()
        return len(plan(ruleset, Kernel(sets, IptablesTables(Variant.NFT), flows).read(ruleset.tables), Stale.KEEP))


def _percentile(times: list[float], percent: int) -> float:
    return sorted(times)[min(len(times) - 1, len(times) * percent // 100)]


if __name__ == "__main__":
    print(json.dumps(measure(Size(*map(int, sys.argv[1:])))))
