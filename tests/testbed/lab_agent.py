"""The agent as a process on the first node of a lab, following the API server there."""

from __future__ import annotations

import re
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from testbed.agent import netpol_command
from testbed.api_servers import STRANGER
from testbed.lab_cluster import LabCluster
from testbed.processes import Process

METRICS_PORT = 20245
PROGRAMMED = "kernel programmed"
STARTING_SECONDS = 60
SOON_SECONDS = 20
"""How long a busy machine may take for what takes milliseconds."""


class LabAgent:
    """`netpol run` with the rights that the manifests give it; stopped, it leaves nothing in the kernel."""

    def __init__(self, cluster: LabCluster, log: Path, *flags: str) -> None:
        self._cluster = cluster
        self._log = log
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
        self._process: Process | None = None

    def start(self, until: str = PROGRAMMED) -> None:
        """It runs, and has said these words."""
        with self._cluster.home.entered():
            self._process = Process("netpol", self._command, self._log)
        self.until_said(until, STARTING_SECONDS)

    @property
    def said(self) -> str:
        """What it has logged so far."""
        return self._log.read_text(encoding="utf-8")

    def until_said(self, words: str, seconds: float = SOON_SECONDS, after: int = 0) -> None:
        """It has logged a line with these words, `after` so many characters of its log."""
        self.until(f"says {words!r}", lambda: words in self.said[after:], seconds)

    def until(self, what: str, ask: Callable[[], object], seconds: float = SOON_SECONDS) -> None:
        """The answer is yes, while it runs."""
        assert self._process is not None
        try:
            self._process.wait_until(what, ask, seconds)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.said}") from late

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
        with self._cluster.home.entered():
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        return done.stdout + done.stderr if done.returncode else ""

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric over all labels that are not given."""
        with self._cluster.home.entered():
            opened = urllib.request.urlopen(f"http://127.0.0.1:{METRICS_PORT}/metrics", timeout=10)
        with opened as answer:
            lines = answer.read().decode().splitlines()
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        own = [line for line in lines if re.match(rf"{name}[ {{]", line)]
        return sum(float(line.rpartition(" ")[2]) for line in own if all(label in line for label in wanted))

    def stop(self) -> None:
        """It has ended as it was asked to, without a word of a bug."""
        assert self._process is not None
        self._process.stop(SOON_SECONDS)
        assert self._process.status() == 0, self.said
        assert "Traceback" not in self.said
        assert "a bug" not in self.said

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.stop()
        elif self._process is not None:
            self._process.stop()
