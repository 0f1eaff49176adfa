"""The agent as a process on the first node of a lab, following the API server there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.agent import netpol_command
from testbed.api_servers import STRANGER
from testbed.lab_cluster import LabCluster
from testbed.processes import Process
from testbed.running_agent import METRICS_PORT, STARTING_SECONDS, RunningAgent

PROGRAMMED = "kernel programmed"


class LabAgent(RunningAgent):
    """`netpol run` with the rights that the manifests give it; stopped, it leaves nothing in the kernel."""

    def __init__(self, cluster: LabCluster, log: Path, *flags: str) -> None:
        super().__init__(cluster.home, log)
        self._source = (f"--kubeconfig={cluster.server.kubeconfig(STRANGER)}", "--hostname-override=one")
        self._command = netpol_command(
            "run",
            "--run-firewall",
            *self._source,
            "--iptables-variant=nft",
            "--health-port=0",
            "--metrics-addr=127.0.0.1",
            f"--metrics-port={METRICS_PORT}",
            "--cleanup-on-exit",
            *flags,
        )
        self._semantics = [flag for flag in flags if flag.startswith("--v1beta1-semantics")]

    def start(self, until: str = PROGRAMMED) -> None:
        """It runs, and has said these words."""
        with self._home.entered():
            self._process = Process("netpol", self._command, self._log)
        self.until_said(until, STARTING_SECONDS)

    @contextmanager
    def bringing(self, *changes: str) -> Iterator[None]:
        """What happens inside is in the kernel after it, as it logs for each: `NetworkPolicy changed name=x/a`."""
        before = len(self.said)
        yield
        for change in changes:
            self.until_said(f" {change} ", after=before)

    @contextmanager
    def hearing(self, facts: int = 1) -> Iterator[None]:
        """What happens inside has reached the control thread after it, though it may be nothing to the kernel."""
        before = self.metric("netpol_facts_total")
        yield
        self.until(f"hears of {facts} facts", lambda: self.metric("netpol_facts_total") >= before + facts)
        self.until_verified()

    def until_verified(self) -> None:
        """The kernel holds what follows from what the server has, as `netpol verify` finds it."""
        self.until("the kernel is verified", lambda: not self.difference())

    def difference(self) -> str:
        """What `netpol verify` has against the kernel; nothing where it agrees."""
        command = netpol_command("verify", *self._source, "--iptables-variant=nft", *self._semantics)
        with self._home.entered():
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        return done.stdout + done.stderr if done.returncode else ""
