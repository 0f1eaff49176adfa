"""What a service proxy takes to its first sync and to each change, beside kube-proxy in its ipvs mode.

Runs as root on a kernel with IPVS, in a network of its own; prints the figures as JSON. The API server is
real, and each proxy a process that follows it. They all share the guest's one processor, and so does the measuring:
it asks the kernel about single virtual servers, and for all of them only when those are there.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import math
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from testbed.api_servers import CURRENT, ApiServer
from testbed.binaries import program

from netpol.model.networks import parse_address
from netpol.model.ports import Protocol
from proxy.kernel.ipvs import NetlinkServers
from proxy.model import Destination, ServerAddress

NODE, ADDRESS = "bench", "192.0.2.1"
SERVICES_PATH = "/api/v1/namespaces/default/services"
SLICES_PATH = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
FIRST_CLUSTER_ADDRESS = ipaddress.IPv4Address("10.96.16.1")
FIRST_ENDPOINT = ipaddress.IPv4Address("10.244.0.1")
TABLE = Path("/proc/net/ip_vs")
SYNC_SECONDS = 600.0
LOOK_SECONDS, CHANGE_LOOK_SECONDS = 0.1, 0.002
SETTLING_SECONDS, PAUSE_SECONDS = 20.0, 0.1
CHANGES, FEW_CHANGES = 200, 10
SPARE_ADDRESSES = 4
"""How many generations a service's last endpoint can have."""
COMPARED_SERVICES = 100
"""kube-proxy starts a process for each member of its sets, and two are made of each service: more takes it minutes."""


IsDone = Callable[[], bool]
Proxy = Callable[[Path, Path], AbstractContextManager[IsDone]]
"""What runs a proxy with a kubeconfig, and keeps its files in a directory.

Inside, it can be asked whether the proxy says that it has written everything, where it says so.
"""


Figures = dict[str, Any]


class Change(NamedTuple):
    """What a change took: until the API server had it and said so, and from there to the kernel."""

    write_ms: float
    kernel_ms: float


class Writer:
    """One connection to the API server that stays open: thousands of objects are to be written."""

    def __init__(self, server: ApiServer) -> None:
        place, client = urlsplit(server.url), server.client()
        trust = ssl.create_default_context(cafile=client.authority)
        self._connection = http.client.HTTPSConnection(place.hostname or "", place.port, context=trust)
        self._headers = {"Authorization": f"Bearer {client.token}", "Content-Type": "application/json"}

    def write(self, method: str, path: str, thing: object) -> None:
        """The server has it."""
        self._connection.request(method, path, json.dumps(thing), self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]!r}")


def cluster_address(index: int) -> str:
    """The address of the service of this number."""
    return str(FIRST_CLUSTER_ADDRESS + index)


def service(index: int) -> dict[str, Any]:
    """A service with one port."""
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"web-{index}", "namespace": "default"},
        "spec": {"clusterIP": cluster_address(index), "ports": ports},
    }


def endpoint_slice(index: int, addresses: Sequence[str]) -> dict[str, Any]:
    """The endpoints of the service of this number, on other nodes."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"web-{index}",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": f"web-{index}"},
        },
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": [each], "nodeName": "elsewhere", "conditions": {"ready": True}} for each in addresses
        ],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }


def endpoints(index: int, count: int, generation: int = 0) -> list[str]:
    """Addresses that no other service has; the next generation has another last one."""
    first = FIRST_ENDPOINT + index * (count + SPARE_ADDRESSES)
    last = first + count - 1 + generation % SPARE_ADDRESSES
    return [*(str(first + number) for number in range(count - 1)), str(last)]


def destinations() -> int:
    """How many destinations IPVS has."""
    return TABLE.read_text().count("->") - 1 if TABLE.exists() else 0


def has(servers: NetlinkServers, address: str, endpoint: str) -> bool:
    """Whether the virtual server at this address sends connections to the endpoint; what drains does not count."""
    held = servers.read_one(ServerAddress(parse_address(address), Protocol.TCP, 80))
    found = held and held.destinations.get(Destination(parse_address(endpoint), 8080))
    return bool(found and found.weight)


@contextmanager
def netpol(kubeconfig: Path, directory: Path) -> Iterator[IsDone]:
    """Our proxy runs, as the how-to's arguments have it."""
    flags = ["--run-firewall=false", "--run-service-proxy=true", f"--kubeconfig={kubeconfig}"]
    flags += ["--masquerade-all", f"--hostname-override={NODE}", "--cluster-cidr=10.244.0.0/16"]
    log = directory / "netpol.log"
    with _running([sys.executable, "-m", "netpol", "run", *flags], log):
        # Packets are let in behind the virtual servers, which are not the end.
        yield lambda: "services programmed" in log.read_text()
    subprocess.run([sys.executable, "-m", "netpol", "cleanup"], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def kube_proxy(kubeconfig: Path, directory: Path) -> Iterator[IsDone]:
    """Kubernetes' own runs in its ipvs mode."""
    configuration = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "ipvs",
        "clusterCIDR": "10.244.0.0/16",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "hostnameOverride": NODE,
        "metricsBindAddress": "127.0.0.1:10249",
        "healthzBindAddress": "127.0.0.1:10256",
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
    path = directory / "kube-proxy.json"
    path.write_text(json.dumps(configuration))
    command = [str(program("kube-proxy")), f"--config={path}"]
    with _running(command, directory / "kube-proxy.log"):
        yield lambda: True
    subprocess.run(["ipvsadm", "--clear"], check=True)


@contextmanager
def _running(command: Sequence[str], log: Path) -> Iterator[None]:
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        try:
            yield
        finally:
            process.kill()
            process.wait()


def until(what: str, is_so: Callable[[], bool], pause_seconds: float) -> None:
    """It is so; TimeoutError where it does not become so."""
    deadline = time.monotonic() + SYNC_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(pause_seconds)


def measure(proxy: Proxy, server: ApiServer, directory: Path, services: int, each: int, changes: int) -> Figures:
    """The figures of one proxy."""
    paces = [pace()]
    with NetlinkServers() as servers, proxy(server.kubeconfig(), directory) as is_done:
        began = time.monotonic()
        sampled = [(cluster_address(index), endpoints(index, each)) for index in (services - 1, services // 2, 0)]
        until(
            "first sync",
            lambda: (
                all(has(servers, address, wanted[-1]) for address, wanted in sampled)
                and destinations() >= services * each
                and is_done()
            ),
            LOOK_SECONDS,
        )
        synced = time.monotonic() - began
        time.sleep(SETTLING_SECONDS)
        paces.append(pace())
        times = _change(Writer(server), servers, services, each, changes)
    paces.append(pace())
    return {"first_sync_s": synced, **_quantiles(times), "pace_ms": [min(paces), max(paces)]}


def _change(writer: Writer, servers: NetlinkServers, services: int, each: int, changes: int) -> list[Change]:
    """What each change took; the endpoints are what they were before."""
    times = []
    for number in range(changes):
        index = number % services
        wanted = endpoints(index, each, 1 + number // services)
        began = time.monotonic()
        writer.write("PUT", f"{SLICES_PATH}/web-{index}", endpoint_slice(index, wanted))
        written = time.monotonic()
        until("a change", partial(has, servers, cluster_address(index), wanted[-1]), CHANGE_LOOK_SECONDS)
        times.append(Change((written - began) * 1000, (time.monotonic() - written) * 1000))
        time.sleep(PAUSE_SECONDS)
    for index in range(min(changes, services)):
        writer.write("PUT", f"{SLICES_PATH}/web-{index}", endpoint_slice(index, endpoints(index, each)))
    return times


def _quantiles(changes: Sequence[Change]) -> dict[str, list[float]]:
    """p50 and p99 of what the API server takes to answer, of what comes after its answer, and of both."""
    parts = {
        "write_ms": [each.write_ms for each in changes],
        "kernel_ms": [each.kernel_ms for each in changes],
        "whole_ms": [sum(each) for each in changes],
    }
    return {
        name: [statistics.median(times), sorted(times)[math.ceil(len(times) * 0.99) - 1]]
        for name, times in parts.items()
    }


def pace() -> float:
    """The milliseconds that a fixed piece of work takes: where they differ, others were at work on the machine."""
    began = time.monotonic()
    sum(range(1_000_000))
    return (time.monotonic() - began) * 1000


def main(services: int, each: int) -> None:
    """Print what both take for a few services, and ours for all of them."""
    subprocess.run(["ip", "addr", "add", f"{ADDRESS}/32", "dev", "lo"], check=True)
    # As in the image, nothing is compiled when the agent starts.
    subprocess.run([sys.executable, "-m", "compileall", "-q", "netpol", "proxy"], check=True)
    with tempfile.TemporaryDirectory() as scratch, ApiServer(CURRENT, Path(scratch)) as server:
        place, writer = Path(scratch), Writer(server)
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}, "spec": {"podCIDR": "10.244.255.0/24"}}
        writer.write("POST", "/api/v1/nodes", node)
        status = {"addresses": [{"type": "InternalIP", "address": ADDRESS}]}
        writer.write("PUT", f"/api/v1/nodes/{NODE}/status", {**node, "status": status})
        few = min(services, COMPARED_SERVICES)
        _add_services(writer, range(few), each)
        figures = {"netpol_few": measure(netpol, server, place, few, each, FEW_CHANGES)}
        _add_services(writer, range(few, services), each)
        figures["netpol"] = measure(netpol, server, place, services, each, CHANGES)
        # The server has ended the other connection, which was idle.
        writer = Writer(server)
        for index in range(few, services):
            writer.write("DELETE", f"{SERVICES_PATH}/web-{index}", None)
            writer.write("DELETE", f"{SLICES_PATH}/web-{index}", None)
        figures["kube-proxy_few"] = measure(kube_proxy, server, place, few, each, FEW_CHANGES)
    print(json.dumps(figures))


def _add_services(writer: Writer, numbers: Iterable[int], each: int) -> None:
    for index in numbers:
        writer.write("POST", SERVICES_PATH, service(index))
        writer.write("POST", SLICES_PATH, endpoint_slice(index, endpoints(index, each)))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
