"""Sockets that answer with the name of the namespace they live in."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from selectors import EVENT_READ, BaseSelector
from typing import Self

from netpol.lab import sctp
from netpol.lab.namespace import LabError
from netpol.lab.topology import Endpoint
from netpol.model.networks import Family, family_of
from netpol.model.ports import Protocol, ProtocolPort

AF = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
ANSWER_BYTES = 512
BACKLOG = 4096
IPV4_WORD = 4

Answer = Callable[[], None]
"""What is called when a listening socket has something to read."""


@dataclass(frozen=True, slots=True)
class Place:
    """A port of an endpoint; ICMP has none."""

    endpoint: Endpoint
    protocol: Protocol
    port: int | None

    def __str__(self) -> str:
        return f"{self.endpoint} {ProtocolPort(self.protocol, self.port)}"


class Listeners:
    """Sockets at these places, answering while `selector` is waited on; ICMP is answered by the kernel."""

    def __init__(self, places: Iterable[Place], selector: BaseSelector) -> None:
        self._open = ExitStack()
        self._selector = selector
        sctp_ports: dict[Endpoint, set[int]] = {}
        with ExitStack() as until_complete:
            until_complete.callback(self.close)
            for place in _distinct(places):
                match place.protocol, place.port:
                    case Protocol.TCP, int(port):
                        self._listen_tcp(place.endpoint, port)
                    case Protocol.UDP, int(port):
                        self._listen_udp(place.endpoint, port)
                    case Protocol.SCTP, int(port):
                        sctp_ports.setdefault(place.endpoint, set()).add(port)
                    case _:
                        pass
            for endpoint, ports in sctp_ports.items():
                self._listen_sctp(endpoint, frozenset(ports))
            until_complete.pop_all()

    def close(self) -> None:
        """Nobody answers any more."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listen_tcp(self, endpoint: Endpoint, port: int) -> None:
        listening = self._socket(endpoint, socket.SOCK_STREAM, 0)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bind(listening, endpoint, port)
        listening.listen(BACKLOG)
        name = endpoint.namespace.name.encode()

        def answer() -> None:
            accepted, _ = listening.accept()
            with accepted, suppress(ConnectionError):
                accepted.sendall(name)

        self._selector.register(listening, EVENT_READ, answer)

    def _listen_udp(self, endpoint: Endpoint, port: int) -> None:
        listening = self._socket(endpoint, socket.SOCK_DGRAM, 0)
        _bind(listening, endpoint, port)
        name = endpoint.namespace.name.encode()

        def answer() -> None:
            _, sender = listening.recvfrom(ANSWER_BYTES)
            with losing_what_is_refused():
                listening.sendto(name, sender)

        self._selector.register(listening, EVENT_READ, answer)

    def _listen_sctp(self, endpoint: Endpoint, ports: frozenset[int]) -> None:
        listening = self._socket(endpoint, socket.SOCK_RAW, socket.IPPROTO_SCTP)
        _bind(listening, endpoint, 0)
        name = endpoint.namespace.name.encode()

        def answer() -> None:
            text, sender = listening.recvfrom(ANSWER_BYTES)
            asked = sctp.decode(payload(text, endpoint))
            if asked is None or asked.chunk is not sctp.Chunk.INIT:
                return
            chunk, cookie = (sctp.Chunk.INIT_ACK, name) if asked.port in ports else (sctp.Chunk.ABORT, b"")
            reply = sctp.Packet(asked.port, asked.source_port, chunk, asked.own_tag, asked.own_tag, cookie)
            with losing_what_is_refused():
                listening.sendto(reply.encode(), (sender[0], 0))

        self._selector.register(listening, EVENT_READ, answer)

    def _socket(self, endpoint: Endpoint, kind: socket.SocketKind, protocol: int) -> socket.socket:
        opened = open_socket(endpoint, kind, protocol)
        self._open.callback(self._forget, opened)
        return opened

    def _forget(self, opened: socket.socket) -> None:
        with suppress(KeyError):
            self._selector.unregister(opened)
        opened.close()


def open_socket(endpoint: Endpoint, kind: socket.SocketKind, protocol: int = 0) -> socket.socket:
    """A socket in the endpoint's namespace that never blocks."""
    with endpoint.namespace.entered():
        opened = socket.socket(AF[family_of(endpoint.address)], kind, protocol)
    opened.settimeout(0)
    return opened


def payload(text: bytes, endpoint: Endpoint) -> bytes:
    """What follows the IP header in what a raw socket read: IPv4's hand it over, IPv6's do not."""
    return text[(text[0] & 0xF) * IPV4_WORD :] if family_of(endpoint.address) is Family.IPV4 else text


def _bind(opened: socket.socket, endpoint: Endpoint, port: int) -> None:
    try:
        opened.bind((str(endpoint.address), port))
    except OSError as refusal:
        raise LabError(f"nobody can listen at {endpoint} port {port}: {refusal.strerror}") from refusal


def _distinct(places: Iterable[Place]) -> list[Place]:
    found = {(place.endpoint.namespace, place.endpoint.address, place.protocol, place.port): place for place in places}
    return list(found.values())


@contextmanager
def losing_what_is_refused() -> Iterator[None]:
    """A packet that the own side's firewall refuses counts as lost: its sender alone is told, by EPERM."""
    try:
        yield
    except OSError as refusal:
        if refusal.errno != errno.EPERM:
            raise
