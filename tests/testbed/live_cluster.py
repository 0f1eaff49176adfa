"""A real cluster of one node: etcd, an API server, controllers, a kubelet, containerd and real pods.

All of it is in network, mount and process namespaces of its own; the rules, links, addresses, mounts and sysctls of the
machine stay as they are. What the machine has for a while is a group in each hierarchy of control groups.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL, SIGTERM
from subprocess import CompletedProcess
from types import TracebackType
from typing import Self

from private_network import missing
from testbed import cgroups
from testbed.binaries import CURRENT_COMMANDS, directory, program
from testbed.kubectl import Kubectl
from testbed.node import OUTSIDE
from testbed.node_files import NodeFiles, ServiceProxy
from testbed.processes import Process
from waiting import NotYet, wait_until

from netpol.model.networks import Family

UP_SECONDS = 540
TESTS = Path(__file__).parents[1]

TOOLS = {
    "containerd": "containerd",
    "runc": "runc",
    "ctr": "containerd",
    "etcd": "etcd-server",
    "openssl": "openssl",
    "iptables": "iptables",
    "ipset": "ipset",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
}
"""What the node takes from the machine, and the Debian package of each."""

KEPT = (".log", "progress")


class LiveCluster:
    """A cluster that is up inside the `with`; its logs stay in `directory`, everything else goes.

    Both families are there; node, pods and services have their first address in `first`.
    """

    def __init__(
        self,
        directory: Path,
        images: Sequence[Path],
        first: Family = Family.IPV4,
        proxy: ServiceProxy = ServiceProxy.IPTABLES,
    ) -> None:
        require()
        self.directory = directory
        self._images = images
        self._files = NodeFiles(directory, _programs(), cgroups.new_name(), first, proxy)
        self._unshare: Process | None = None
        self.pid = 0
        """Of the node's first process, as the machine counts."""

    @property
    def kubeconfig(self) -> Path:
        """A file with which clients in the node reach the API server as one who may do everything."""
        return self._files.kubeconfig

    @property
    def cgroup(self) -> str:
        """The name of its control groups."""
        return self._files.cgroup

    @property
    def kubectl(self) -> Kubectl:
        """kubectl, run in the node: nobody else reaches the API server."""
        return Kubectl(self.kubeconfig, self.inside())

    def inside(self) -> list[str]:
        """What to put before a command so that it runs in the node."""
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--pid", "--"]

    def outside(self) -> list[str]:
        """What to put before a command so that it runs beyond the node's uplink."""
        return [*self.inside(), "ip", "netns", "exec", OUTSIDE]

    def run(self, *command: str, given: str | None = None) -> str:
        """What `command` wrote when run in the node; AssertionError where it failed."""
        done = self.attempt(*command, given=given)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {done.stderr}{done.stdout}")
        return done.stdout

    def attempt(self, *command: str, given: str | None = None) -> CompletedProcess[str]:
        """What came of `command` in the node."""
        return subprocess.run([*self.inside(), *command], input=given, capture_output=True, text=True, check=False)

    def start(self, name: str, *command: str) -> NodeProcess:
        """A process in the node, which lives no longer than the test."""
        return NodeProcess(name, [*self.inside(), *command], self.directory / f"{name}.log")

    def import_image(self, image: Path) -> None:
        """Pods can be made of the image in this file."""
        self.run("ctr", "-n", "k8s.io", "images", "import", str(image))

    def __enter__(self) -> Self:
        cgroups.remove_orphans()
        try:
            self._come_up()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._unshare is not None:
            # The kernel kills the node's first process with it, and all of the node with that.
            self._unshare.kill()
            wait_until(lambda: not Path("/proc", str(self.pid)).exists(), "the node has ended")
        cgroups.remove(self._files.cgroup)
        for path in self.directory.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif not path.name.endswith(KEPT):
                path.unlink()

    def _come_up(self) -> None:
        path = ["env", f"PYTHONPATH={TESTS}:{TESTS.parent}"]
        apart = [
            "unshare",
            "--net",
            "--mount",
            "--propagation=private",
            "--pid",
            "--mount-proc",
            "--fork",
            "--kill-child",
        ]
        files = self._files
        told = [self.directory, files.programs, files.cgroup, files.first.value, files.proxy.value, *self._images]
        command = [*path, *apart, sys.executable, "-m", "testbed.node", *map(str, told)]
        self._unshare = Process("the node", command, self.directory / "node.log")
        self.pid = self._unshare.only_child()
        self._unshare.until("up", (self.directory / "up").exists, UP_SECONDS)


class NodeProcess(Process):
    """A process in the node: nsenter, which does not pass signals on, and its child, the program itself."""

    def signal(self, number: int) -> None:
        """The program was sent this signal."""
        os.kill(self.only_child(), number)

    def stop(self, patience: float = 10) -> None:
        """The program has ended: asked to with SIGTERM, and killed where it would not within `patience` seconds."""
        if self.status() is None:
            self.signal(SIGTERM)
            with suppress(NotYet):
                wait_until(lambda: self.status() is not None, f"{self.name} ends", patience)
        self.kill()

    def kill(self) -> None:
        """The program has ended, without a chance to do anything about it."""
        if self.status() is None:
            self.signal(SIGKILL)
        super().kill()


def require() -> None:
    """Nothing happens where a cluster can be had; otherwise the test ends here."""
    if os.geteuid() != 0:
        missing("a cluster needs root")
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            missing(f"no {tool} on this machine (Debian: {package})")
    if not Path("/usr/lib/cni/bridge").exists():
        missing("no CNI plugins in /usr/lib/cni (Debian: containernetworking-plugins)")
    _programs()


def _programs() -> Path:
    for name in CURRENT_COMMANDS:
        program(name)
    return directory()
