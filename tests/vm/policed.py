"""The agent with both controllers on node one of a lab, and whom its policies let through services."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Self

import builders
from vm.conversation import ask
from vm.proxied import Manifest, Proxied, service
from vm.servers import KINDS, Reply
from vm.service_lab import PORT, ServiceLab
from waiting import wait_until
from world_manifests import manifests

from netpol.lab.listeners import AF
from netpol.lab.prober import Outcome
from netpol.lab.topology import Endpoint
from netpol.model.networks import Address, Family, family_of
from netpol.model.objects import Namespace, Node, Pod
from netpol.model.policies import Policy
from netpol.model.ports import Protocol

TCP, UDP = Protocol.TCP, Protocol.UDP
SERVICE_PORTS = "t=80:30080/TCP u=53:30053/UDP"
SERVED = {TCP: 80, UDP: 53}
NODE_PORTS = {TCP: 30080, UDP: 30053}
SLICE_PORTS = f"t={PORT}/TCP u={PORT}/UDP"
SILENT_SECONDS = 1.0
"""Nobody needs longer to answer here."""


class Way(NamedTuple):
    """An address and a port that lead to a service, or straight to a pod."""

    address: Address
    protocol: Protocol
    port: int

    @property
    def family(self) -> Family:
        """The family of who goes it."""
        return family_of(self.address)


class Asked(Proxied):
    """The service proxy, and clients who ask by many ways at once."""

    def label(self, name: str, labels: str, ports: str = "") -> Manifest:
        """The pod of the lab, with these labels and container ports."""
        pod = self.lab.lab.pods[name]
        return told(builders.pod(name, *map(str, pod.addresses), labels=labels, ports=ports, node=pod.node))[0]

    def outcomes(self, ways: Iterable[Way], *clients: str) -> dict[str, set[str]]:
        """What each client comes to by these ways, all at once: the names of who answered, or of outcomes."""
        questions = [(client, way) for client in clients for way in ways]
        with ThreadPoolExecutor(24) as threads:
            answers = list(threads.map(lambda question: self.outcome(*question), questions))
        found: dict[str, set[str]] = {client: set() for client in clients}
        for (client, _), answer in zip(questions, answers, strict=True):
            found[client].add(answer)
        return found

    def outcome(self, client: str, way: Way) -> str:
        """Who answers the client, or what else comes of a question."""
        source = self.lab.endpoint(client, way.family)
        found = ask(source, way.address, way.port, way.protocol, seconds=SILENT_SECONDS)
        return found.name if isinstance(found, Reply) else found.value


class Policed(Asked):
    """Both controllers in one process; the audit log is in a file of its own."""

    def __init__(self, lab: ServiceLab, directory: Path, *flags: str) -> None:
        self._audit_log = directory / "audit.log"
        own = f"--audit-log-path={self._audit_log}", "--audit-window=100ms"
        super().__init__(lab, directory, "--run-firewall", *own, *flags)

    def records(self) -> list[dict[str, Any]]:
        """The audit log so far."""
        text = self._audit_log.read_text(encoding="utf-8") if self._audit_log.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    def until_recorded(self, after: int, **fields: object) -> dict[str, Any]:
        """The first record with these fields behind so many others, once there is one."""

        def found() -> dict[str, Any] | None:
            return next((each for each in self.records()[after:] if each.items() >= fields.items()), None)

        wait_until(found, f"a record with {fields}")
        record = found()
        assert record is not None
        return record


def told(*objects: Namespace | Node | Pod | Policy) -> list[Manifest]:
    """The manifests that say so."""
    return manifests(builders.world(*objects))


def ways(*addresses: str, ports: Mapping[Protocol, int] = SERVED) -> list[Way]:
    """By either protocol, to each of these addresses."""
    return [Way(builders.address(each), protocol, port) for each in addresses for protocol, port in ports.items()]


def both(name: str, *cluster: str) -> Manifest:
    """A service of either protocol, without node ports."""
    return service(name, *cluster, ports="t=80/TCP u=53/UDP")


class Watcher:
    """Inside the context, clients ask by these ways, hardly with a pause; `heard` is whoever answered them.

    `seen` are the packets that reached the pods which must get none, by the pods' own counters: also one that is never
    answered counts.
    """

    def __init__(self, lab: ServiceLab, clients: Sequence[str], asked: Sequence[Way], forbidden: Sequence[str]) -> None:
        self._lab, self._forbidden = lab, forbidden
        self._stopped = threading.Event()
        self.heard: set[str] = set()
        self.asked = 0
        self._threads = [
            threading.Thread(target=self._ask, args=(client, way), name="watcher", daemon=True)
            for client in clients
            for way in asked
        ]

    def seen(self) -> int:
        """How many packets came to where none may."""
        count = 0
        for pod in self._forbidden:
            for tool in ("iptables-save", "ip6tables-save"):
                lines = self._lab.run(tool, "-c", "-t", "raw", on=pod).splitlines()
                count += sum(int(line[1 : line.index(":")]) for line in lines if "-j RETURN" in line)
        return count

    def go_on(self, times: int = 10) -> None:
        """Returns once they have asked so many times more."""
        before = self.asked
        wait_until(lambda: self.asked >= before + times, "more questions")

    def __enter__(self) -> Self:
        for pod in self._forbidden:
            for tool in ("iptables", "ip6tables"):
                for protocol in ("tcp", "udp"):
                    rule = f"-t raw -A PREROUTING -p {protocol} --dport {PORT} -j RETURN"
                    self._lab.run(tool, *rule.split(), on=pod)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        for pod in self._forbidden:
            for tool in ("iptables", "ip6tables"):
                self._lab.run(tool, "-t", "raw", "-F", on=pod)

    def _ask(self, client: str, way: Way) -> None:
        source = self._lab.endpoint(client, way.family)
        # A guest has one processor, and the agent is to get along.
        while not self._stopped.wait(0.03):
            found = ask(source, way.address, way.port, way.protocol, seconds=0.1)
            self.asked += 1
            if not isinstance(found, Outcome):
                self.heard.add(found.name)


class Line:
    """A connection of which either end can be the next to speak; `port` is the server's own."""

    def __init__(self, client: Endpoint, server: Endpoint, port: int, way: Way) -> None:
        self.way = way
        with server.namespace.entered():
            self._listening = socket.socket(AF[way.family], *KINDS[way.protocol])
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listening.bind((str(server.address), port))
        with client.namespace.entered():
            self._client = socket.socket(AF[way.family], *KINDS[way.protocol])
        self._client.bind((str(client.address), 0))
        for each in (self._client, self._listening):
            each.settimeout(SILENT_SECONDS)
        if way.protocol is TCP:
            self._listening.listen()
            self._client.connect((str(way.address), way.port))
            self._server, _ = self._listening.accept()
            self._server.settimeout(SILENT_SECONDS)
            self._peer: Any = None
        else:
            self._server = self._listening
            self._client.connect((str(way.address), way.port))
            self._client.send(b"first")
            _, self._peer = self._listening.recvfrom(100)

    def client_speaks(self) -> bool:
        """True where the server hears it."""
        return _is_heard(lambda: self._client.send(b"?"), self._server)

    def server_speaks(self) -> bool:
        """True where the client hears it."""
        if self._peer is None:
            return _is_heard(lambda: self._server.send(b"!"), self._client)
        return _is_heard(lambda: self._server.sendto(b"!", self._peer), self._client)

    def close(self) -> None:
        """Neither end is there any more."""
        for each in (self._client, self._server, self._listening):
            each.close()


def _is_heard(speak: Callable[[], object], hearer: socket.socket) -> bool:
    """What a node may not send, it is told of at once."""
    try:
        speak()
        return bool(hearer.recv(100))
    except OSError:
        return False
