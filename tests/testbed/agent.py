"""The agent from the source tree, as a process in the node."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from testbed.live_cluster import LiveCluster, NodeProcess
from testbed.node_files import NODE
from testbed.running_agent import METRICS_PORT, metric_in
from waiting import wait_until

ROOT = Path(__file__).parents[2]
HEALTH_PORT = 20244
READY_SECONDS = 30

_GET = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=2).read().decode())"


class Agent:
    """`netpol run` in the node of a cluster, inside the `with`; the rules stay after it."""

    def __init__(self, cluster: LiveCluster, *flags: str) -> None:
        self._cluster = cluster
        self._flags = flags
        self.process: NodeProcess | None = None

    def start(self) -> None:
        """It runs, and the kernel enforces what it knows of the cluster."""
        command = netpol_command(
            "run",
            "--run-firewall",
            f"--kubeconfig={self._cluster.kubeconfig}",
            f"--hostname-override={NODE}",
            f"--metrics-port={METRICS_PORT}",
            *self._flags,
        )
        process = self.process = self._cluster.start("netpol", *command)

        def ready() -> bool:
            process.must_run()
            return answer(self._cluster, HEALTH_PORT, "readyz") is not None

        wait_until(ready, "netpol is ready", READY_SECONDS)

    def stop(self) -> int | None:
        """What it ended with once it was asked to."""
        if self.process is None:
            return None
        process, self.process = self.process, None
        process.stop()
        return process.status()

    def kill(self) -> None:
        """It was killed where it was."""
        if self.process is not None:
            self.process.kill()
            self.process = None

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        text = answer(self._cluster, METRICS_PORT, "metrics")
        assert text is not None
        return metric_in(text, name)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def answer(cluster: LiveCluster, port: int, path: str) -> str | None:
    """What the agent on the node answers; None where it does not, or with an error."""
    done = cluster.attempt(sys.executable, "-c", _GET, f"http://127.0.0.1:{port}/{path}")
    return done.stdout if done.returncode == 0 else None


def netpol_command(*arguments: str) -> list[str]:
    """The command of the source tree, which the tests' own Python runs."""
    return ["env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "netpol", *arguments]
