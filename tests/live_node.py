"""A node of a lab that is kept by the agent: its control thread in this process, or the whole in one of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from cluster import Cluster
from live import after, unfollowed
from prometheus_client import CollectorRegistry
from waiting import PATIENCE_SECONDS, wait_until

from netpol.agent.firewall_thread import FirewallThread
from netpol.agent.own_writes import WritesOfAll
from netpol.bus import Bus
from netpol.compiler.compile import compile_ruleset
from netpol.control.firewall import Instruments
from netpol.dataplane.apply import Kernel
from netpol.dataplane.conntrack import NetlinkFlows
from netpol.dataplane.ipset import NetlinkSets
from netpol.dataplane.iptables import IptablesTables
from netpol.dataplane.plan import Stale, plan
from netpol.model.facts import Fact, lists
from netpol.model.snapshot import Snapshot
from netpol.settings import AgentSettings, DirectorySource, NodeOptions
from netpol.telemetry.health import Health
from netpol.telemetry.metrics import Metrics

SYNC_SECONDS = 1.0


class LiveNode:
    """Node one of a cluster, kept by a control thread that is told facts as they are recorded."""

    def __init__(self, cluster: Cluster, snapshot: Snapshot) -> None:
        self._machine = cluster.lab.namespace("node/one")
        self._variant = cluster.variant
        self._bus = Bus()
        self.options = NodeOptions("one")
        self.metrics = Metrics(CollectorRegistry())
        settings = AgentSettings(self.options, DirectorySource(cluster.directory), sync_period_seconds=SYNC_SECONDS)
        health = Health(time.monotonic, 60.0)
        instruments = Instruments(self.metrics, health, time.monotonic)
        self._control = FirewallThread(settings, cluster.variant, self._bus, instruments, unfollowed(), WritesOfAll())
        self._bus.replace_all(lists(snapshot))
        self._snapshot = snapshot

    def __enter__(self) -> Self:
        # A thread is in the network namespace of the one that starts it.
        with self._machine.entered():
            self._control.start()
        self.until_right()
        return self

    def __exit__(self, *_: object) -> None:
        self._control.stop()
        assert self._control.error is None

    def say(self, *facts: Fact) -> None:
        """So much happens in the cluster, one after the other."""
        for fact in facts:
            self._bus.record(fact)
        self._snapshot = after(self._snapshot, facts)

    def until_right(self) -> None:
        """Returns once the kernel holds what follows from all that was said."""
        wait_until(self._is_right, "the kernel is right")

    def metric(self, name: str) -> float:
        """The value of one of the agent's metrics."""
        return self.metrics.registry.get_sample_value(f"netpol_{name}") or 0.0

    def _is_right(self) -> bool:
        assert self._control.is_alive(), self._control.error
        ruleset = compile_ruleset(self._snapshot, self.options)
        with self._machine.entered(), NetlinkSets() as sets, NetlinkFlows() as flows:
            kernel = Kernel(sets, IptablesTables(self._variant), flows)
            return plan(ruleset, kernel.read(self.options.families), Stale.KEEP) == ()


class AgentProcess:
    """`netpol run` on node one, which follows the cluster's directory of manifests; what it says goes to `log`."""

    def __init__(self, cluster: Cluster, log: Path, *flags: str) -> None:
        command = [sys.executable, "-m", "netpol", "run", *cluster.arguments("one"), *flags]
        command += ["--iptables-sync-period", f"{SYNC_SECONDS:g}s", "--health-port", "0"]
        self._log = log
        with log.open("w") as output, cluster.lab.namespace("node/one").entered():
            self._process = subprocess.Popen(command, stdout=output, stderr=output)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def said(self) -> str:
        """What it has logged so far."""
        return self._log.read_text(encoding="utf-8")

    def until_said(self, words: str) -> None:
        """Returns once it has logged these words."""
        wait_until(lambda: words in self.said or self._process.poll() is not None, words)
        assert words in self.said, self.said

    def kill(self) -> None:
        """It is gone without a warning."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """What it returned once it was asked to stop."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(PATIENCE_SECONDS)
