"""The first process of a cluster's only node: `python -m testbed.node DIRECTORY PROGRAMS CGROUP FAMILY PROXY IMAGE...`

It is process 1 in namespaces of its own: when it ends, the kernel ends everything that it has started, and the rules,
links and mounts go with the namespaces. `DIRECTORY/up` is there once pods can be made.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from testbed import cgroups
from testbed.api_client import ApiClient
from testbed.api_servers import ADMIN, TOKENS, write_credentials, write_kubeconfig
from testbed.etcd import Etcd
from testbed.node_files import (
    API_PORT,
    NODE,
    NODE_V4,
    NODE_V6,
    OUTSIDE_V4,
    OUTSIDE_V6,
    NodeFiles,
    ServiceProxy,
)
from testbed.processes import Process

from netpol.model.networks import Family

OUTSIDE = "outside"
"""The network namespace at the other end of the node's only link, named where only the node sees it."""

UP_SECONDS = 300
"""How long the API server may take, and the kubelet after it: they do in seconds, but not on a machine that is busy."""

PRIVATE_COPIES = ("/etc", "/opt", "/var/lib")
"""What the node sees of the machine, and may write without the machine seeing it."""

PRIVATE_EMPTY = ("/run", "/var/lib/kubelet", "/var/lib/cni", "/var/log")

SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
    "net/bridge/bridge-nf-call-iptables": "1",
    "net/bridge/bridge-nf-call-ip6tables": "1",
    "net/ipv4/conf/all/route_localnet": "1",
}

COVERED = {"sys/vm/overcommit_memory": "1\n", "sys/kernel/panic": "10\n", "sys/kernel/panic_on_oops": "1\n"}
"""What the kubelet wants of the whole machine: it finds files that say so already."""


class Node:
    """The node's programs, as they come up."""

    def __init__(self, files: NodeFiles) -> None:
        self.files = files
        self.processes: list[Process] = []
        self._began = time.monotonic()
        self._api = ApiClient(files.api_url, TOKENS[ADMIN][0], files.authority)

    def come_up(self, images: list[Path]) -> None:
        """Pods can be made of these images."""
        directory = self.files.directory
        mount_private(directory)
        wire()
        cgroups.make(self.files.cgroup)
        write_credentials(directory)
        write_kubeconfig(self.files.kubeconfig, self.files.api_url, TOKENS[ADMIN][0], self.files.authority)
        self.files.write()
        self.say("namespaces, mounts, links")

        containerd = self._start("containerd", self.files.containerd())
        etcd = Etcd(directory, ports=(2379, 2380))
        etcd.start()
        api_server = self._start("kube-apiserver", self.files.kube_apiserver(etcd.url))
        # Images are read in while the API server starts.
        containerd.until("answers", _containerd_answers)
        for image in images:
            import_image(image)
        self.say("images")
        api_server.until("ready", lambda: self._api.text("/readyz") == "ok", UP_SECONDS)
        self.say("API server")
        self._start("kube-controller-manager", self.files.kube_controller_manager())
        self._start("kube-scheduler", self.files.kube_scheduler())
        kubelet = self._start("kubelet", self.files.kubelet())
        if self.files.proxy is not ServiceProxy.NONE:
            kube_proxy = self._start("kube-proxy", self.files.kube_proxy())
            kube_proxy.until("serves the API server's address", self._serves_the_api_server)
        kubelet.until("node ready", self._ready, UP_SECONDS)
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        api_server.until("the default service account is there", lambda: self._api.get(account))
        self.say("up")
        (directory / "up").touch()

    def reap(self) -> None:
        """Does not return: what is orphaned in the node comes to its first process."""
        names = {process.pid: process.name for process in self.processes}
        while True:
            pid, status = os.wait()
            if pid in names:
                self.say(f"{names[pid]} ended, status {status}")

    def say(self, line: str) -> None:
        """The line is in `progress`, with the time since the start."""
        with (self.files.directory / "progress").open("a") as progress:
            progress.write(f"{time.monotonic() - self._began:6.1f} s  {line}\n")

    def _start(self, name: str, command: list[str]) -> Process:
        process = Process(name, command, self.files.directory / f"{name}.log")
        self.processes.append(process)
        return process

    def _ready(self) -> bool:
        conditions = self._api.get(f"/api/v1/nodes/{NODE}")["status"]["conditions"]
        return [each["status"] for each in conditions if each["type"] == "Ready"] == ["True"]

    def _serves_the_api_server(self) -> bool:
        """Whether kube-proxy has written its rules or virtual servers: it calls itself healthy before."""
        if self.files.proxy is ServiceProxy.IPVS:
            saved = subprocess.run(("ipvsadm", "-Sn"), capture_output=True, text=True, check=True).stdout
            return f":{API_PORT} " in saved
        save = "ip6tables-save" if self.files.first is Family.IPV6 else "iptables-save"
        saved = subprocess.run((save, "-t", "nat"), capture_output=True, text=True, check=True).stdout
        return "default/kubernetes:https" in saved and "KUBE-SEP-" in saved


def mount_private(directory: Path) -> None:
    """The node writes to nothing of the machine: what it may change is its own, or a copy laid over."""
    # The kubelet and containerd pass mounts on to pods.
    _run("mount", "--make-rshared", "/")
    store = directory / "mounts"
    store.mkdir()
    on_overlay = _file_system(directory) == "overlayfs"
    if on_overlay:
        # An overlay cannot be the upper layer of another.
        for place in (store, directory / "containerd"):
            place.mkdir(exist_ok=True)
            _run("mount", "-t", "tmpfs", "node", str(place))
    for number, copied in enumerate(PRIVATE_COPIES):
        upper, work = store / f"upper-{number}", store / f"work-{number}"
        upper.mkdir()
        work.mkdir()
        _run("mount", "-t", "overlay", "node", "-o", f"lowerdir={copied},upperdir={upper},workdir={work}", copied)
    for number, emptied in enumerate(PRIVATE_EMPTY):
        own = store / f"empty-{number}"
        own.mkdir()
        Path(emptied).mkdir(exist_ok=True)
        _run("mount", "--bind", str(own), emptied)
        _run("mount", "--make-rshared", emptied)
    Path("/run/lock").mkdir()
    # The files of sysfs are those of the network namespace that it was mounted in.
    system = store / "sys"
    system.mkdir()
    _run("mount", "-t", "sysfs", "sysfs", str(system))
    _run("mount", "--rbind", "/sys/fs/cgroup", str(system / "fs/cgroup"))
    _run("mount", "--rbind", str(system), "/sys")
    for number, (name, value) in enumerate(_covers().items()):
        cover = store / f"covered-{number}"
        cover.write_text(value)
        _run("mount", "--bind", str(cover), f"/proc/{name}")


def _covers() -> dict[str, str]:
    information = Path("/proc/cpuinfo").read_text()
    if "cpu MHz" in information:
        return COVERED
    # A guest's processor has no frequency: the kubelet ends where it finds none.
    return {**COVERED, "cpuinfo": information.replace("mode\t", "cpu MHz\t\t: 1000.000\nmode\t")}


def wire() -> None:
    """The node has its addresses, on a link to a namespace that stands for the world outside."""
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "netns", "add", OUTSIDE)
    _run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "node", "netns", OUTSIDE)
    outside = ("-n", OUTSIDE)
    for where, link, v4, v6 in (((), "uplink", NODE_V4, NODE_V6), (outside, "node", OUTSIDE_V4, OUTSIDE_V6)):
        _run("ip", *where, "addr", "add", f"{v4}/30", "dev", link)
        _run("ip", *where, "addr", "add", f"{v6}/64", "dev", link, "nodad")
        _run("ip", *where, "link", "set", link, "up")
    for where, v4, v6 in (((), OUTSIDE_V4, OUTSIDE_V6), (outside, NODE_V4, NODE_V6)):
        _run("ip", *where, "route", "add", "default", "via", v4)
        _run("ip", *where, "-6", "route", "add", "default", "via", v6)
    _run("ip", *outside, "link", "set", "lo", "up")
    for name, value in SYSCTLS.items():
        Path("/proc/sys", name).write_text(value)


def import_image(image: Path) -> None:
    """Pods can be made of the image in this file."""
    _run("ctr", "-n", "k8s.io", "images", "import", str(image))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")


def _file_system(path: Path) -> str:
    return subprocess.run(("stat", "-f", "-c", "%T", path), capture_output=True, text=True, check=True).stdout.strip()


def _containerd_answers() -> bool:
    return subprocess.run(("ctr", "version"), capture_output=True, check=False).returncode == 0


def main(directory: str, programs: str, cgroup: str, first: str, proxy: str, *images: str) -> None:
    """Does not return while the node lives."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    files = NodeFiles(Path(directory), Path(programs), cgroup, Family(int(first)), ServiceProxy(proxy))
    node = Node(files)
    node.come_up([Path(image) for image in images])
    node.reap()


if __name__ == "__main__":
    main(*sys.argv[1:])
