"""What a service proxy takes to its first sync and to each change, beside kube-proxy in its ipvs mode.

Runs as root on a kernel with IPVS, in a network of its own; prints the figures as JSON. The API server is
real, and each proxy a process that follows it.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
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
from typing import Any
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
CHANGES, FEW_CHANGES = 100, 10
COMPARED_SERVICES = 100
"""kube-proxy starts a process for each member of its sets, and two are made of each service: more takes it minutes."""


Proxy = Callable[[Path, Path], AbstractContextManager[None]]
"""What runs a proxy with a kubeconfig, and keeps its files in a directory."""


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
    """Addresses that no other service has; another generation has another last one."""
    first = FIRST_ENDPOINT + index * (count + CHANGES)
    return [*(str(first + number) for number in range(count - 1)), str(first + count - 1 + generation)]


def destinations() -> int:
    """How many destinations IPVS has."""
    return TABLE.read_text().count("->") - 1 if TABLE.exists() else 0


def has(servers: NetlinkServers, address: str, endpoint: str) -> bool:
    """Whether the virtual server at this address sends connections to the endpoint; what drains does not count."""
    held = servers.read_one(ServerAddress(parse_address(address), Protocol.TCP, 80))
    found = held and held.destinations.get(Destination(parse_address(endpoint), 8080))
    return bool(found and found.weight)


@contextmanager
def netpol(kubeconfig: Path, directory: Path) -> Iterator[None]:
    """Our proxy runs, as the how-to's arguments have it."""
    flags = ["--run-firewall=false", "--run-service-proxy=true", f"--kubeconfig={kubeconfig}"]
    flags += ["--masquerade-all", f"--hostname-override={NODE}", "--cluster-cidr=10.244.0.0/16"]
    with _running([sys.executable, "-m", "netpol", "run", *flags], directory / "netpol.log"):
        yield
    subprocess.run([sys.executable, "-m", "netpol", "cleanup"], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def kube_proxy(kubeconfig: Path, directory: Path) -> Iterator[None]:
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
        yield
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


def until(what: str, is_so: Callable[[], bool], pause_seconds: float, within_seconds: float) -> float:
    """The seconds until it was so."""
    began = time.monotonic()
    while not is_so():
        if time.monotonic() - began > within_seconds:
            raise TimeoutError(what)
        time.sleep(pause_seconds)
    return time.monotonic() - began


def measure(
    proxy: Proxy, server: ApiServer, directory: Path, services: int, each: int, changes: int, first: int
) -> dict[str, float]:
    """The figures of one proxy; `first` is the generation of endpoints that its first change brings."""
    writer = Writer(server)
    with proxy(server.kubeconfig(), directory), NetlinkServers() as servers:
        synced = until("first sync", lambda: destinations() >= services * each, 0.2, SYNC_SECONDS)
        times = []
        for number in range(changes):
            index = number % services
            wanted = endpoints(index, each, first + number)
            began = time.monotonic()
            writer.write("PUT", f"{SLICES_PATH}/web-{index}", endpoint_slice(index, wanted))
            is_there = partial(has, servers, cluster_address(index), wanted[-1])
            until("a change", is_there, 0.002, SYNC_SECONDS)
            times.append((time.monotonic() - began) * 1000)
            time.sleep(0.1)
        for index in range(min(changes, services)):
            writer.write("PUT", f"{SLICES_PATH}/web-{index}", endpoint_slice(index, endpoints(index, each)))
    times.sort()
    return {"first_sync_s": synced, "p50_ms": statistics.median(times), "p99_ms": times[int(len(times) * 0.99) - 1]}


def main(services: int, each: int) -> None:
    """Print what both take for a few services, and ours for all of them."""
    subprocess.run(["ip", "addr", "add", f"{ADDRESS}/32", "dev", "lo"], check=True)
    with tempfile.TemporaryDirectory() as scratch, ApiServer(CURRENT, Path(scratch)) as server:
        place, writer = Path(scratch), Writer(server)
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}, "spec": {"podCIDR": "10.244.255.0/24"}}
        writer.write("POST", "/api/v1/nodes", node)
        status = {"addresses": [{"type": "InternalIP", "address": ADDRESS}]}
        writer.write("PUT", f"/api/v1/nodes/{NODE}/status", {**node, "status": status})
        few = min(services, COMPARED_SERVICES)
        _add_services(writer, range(few), each)
        figures = {"netpol_few": measure(netpol, server, place, few, each, FEW_CHANGES, 1)}
        _add_services(writer, range(few, services), each)
        figures["netpol"] = measure(netpol, server, place, services, each, CHANGES, 1)
        for index in range(few, services):
            writer.write("DELETE", f"{SERVICES_PATH}/web-{index}", None)
            writer.write("DELETE", f"{SLICES_PATH}/web-{index}", None)
        figures["kube-proxy_few"] = measure(kube_proxy, server, place, few, each, FEW_CHANGES, 1)
    print(json.dumps(figures))


def _add_services(writer: Writer, numbers: Iterable[int], each: int) -> None:
    for index in numbers:
        writer.write("POST", SERVICES_PATH, service(index))
        writer.write("POST", SLICES_PATH, endpoint_slice(index, endpoints(index, each)))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
