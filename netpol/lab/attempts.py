"""One try to reach a place, by each protocol's own opening packet."""

from __future__ import annotations

import errno
import socket
import struct
from dataclasses import dataclass
from typing import Protocol as Interface

from netpol.lab import sctp
from netpol.lab.listeners import ANSWER_BYTES, Place, losing_what_is_refused, open_socket, payload
from netpol.lab.namespace import LabError
from netpol.lab.topology import Endpoint
from netpol.model.networks import Family, family_of
from netpol.model.ports import Protocol

ECHO_REQUEST = {Family.IPV4: 8, Family.IPV6: 128}
ECHO_REPLY = {Family.IPV4: 0, Family.IPV6: 129}
ICMP = {Family.IPV4: socket.IPPROTO_ICMP, Family.IPV6: socket.IPPROTO_ICMPV6}
MOST_BINDS = 100


class Attempt(Interface):
    """A socket on which the opening packet has left."""

    @property
    def socket(self) -> socket.socket:
        """The socket, which its owner closes."""

    def read(self) -> str | None:
        """Who answered; None where what arrived is no answer. OSError where the answer is a refusal."""


@dataclass(frozen=True, slots=True)
class DialogueAttempt:
    """TCP or UDP: the listener's name comes back as it is."""

    socket: socket.socket

    def read(self) -> str | None:
        """Who answered."""
        answer = self.socket.recv(ANSWER_BYTES)
        if not answer:
            raise ConnectionResetError(errno.ECONNRESET, "closed without an answer")
        return answer.decode()


@dataclass(frozen=True, slots=True)
class EchoAttempt:
    """ICMP: the kernel of whoever has the address answers, without a name."""

    socket: socket.socket
    destination: Endpoint

    def read(self) -> str | None:
        """The destination, where it echoes."""
        reply = self.socket.recv(ANSWER_BYTES)
        return self.destination.namespace.name if reply[0] == ECHO_REPLY[family_of(self.destination.address)] else None


@dataclass(frozen=True, slots=True)
class InitAttempt:
    """SCTP: an INIT by a raw socket; every raw socket sees all packets of the other end, so the port tells whose."""

    socket: socket.socket
    source: Endpoint
    source_port: int

    def read(self) -> str | None:
        """Who acknowledged the INIT."""
        answer = sctp.decode(payload(self.socket.recv(ANSWER_BYTES), self.source))
        if answer is None or answer.port != self.source_port:
            return None
        if answer.chunk is sctp.Chunk.ABORT:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "aborted")
        return answer.cookie.decode() if answer.chunk is sctp.Chunk.INIT_ACK else None


def begin(source: Endpoint, place: Place) -> Attempt:
    """The attempt whose opening packet has left `source` for `place`, from a port not used for a long time."""
    match place.protocol:
        case Protocol.TCP:
            opened, _ = _connected(source, place, socket.SOCK_STREAM)
            return DialogueAttempt(opened)
        case Protocol.UDP:
            opened, _ = _connected(source, place, socket.SOCK_DGRAM)
            with losing_what_is_refused():
                opened.send(b"?")
            return DialogueAttempt(opened)
        case Protocol.ICMP:
            family = family_of(source.address)
            opened, number = _connected(source, place, socket.SOCK_DGRAM, ICMP[family])
            with losing_what_is_refused():
                opened.send(struct.pack("!BBHHH", ECHO_REQUEST[family], 0, 0, number, 1))
            return EchoAttempt(opened, place.endpoint)
        case Protocol.SCTP:
            opened, number = _connected(source, place, socket.SOCK_RAW, socket.IPPROTO_SCTP)
            opening = sctp.Packet(number, place.port or 0, sctp.Chunk.INIT, own_tag=number)
            with losing_what_is_refused():
                opened.send(opening.encode())
            return InitAttempt(opened, source, number)


def _connected(source: Endpoint, place: Place, kind: socket.SocketKind, protocol: int = 0) -> tuple[socket.socket, int]:
    opened = open_socket(source, kind, protocol)
    try:
        number = _bind(opened, source)
        # A raw socket's address has no port to be connected to.
        result = opened.connect_ex((str(place.endpoint.address), 0 if kind is socket.SOCK_RAW else place.port or 0))
    except BaseException:
        opened.close()
        raise
    if result in {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL, errno.EADDRNOTAVAIL}:
        opened.close()
        raise LabError(f"no way leads from {source} to {place}: {errno.errorcode[result]}")
    return opened, number


def _bind(opened: socket.socket, source: Endpoint) -> int:
    for _ in range(MOST_BINDS):
        number = source.namespace.fresh_source_port()
        try:
            opened.bind((str(source.address), 0 if opened.type is socket.SOCK_RAW else number))
        except OSError as refusal:
            if refusal.errno != errno.EADDRINUSE:
                raise LabError(f"{source} cannot send: {refusal.strerror}") from refusal
        else:
            return number
    raise LabError(f"{source} has no port left to send from")
