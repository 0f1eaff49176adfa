"""Connections that stay open, to see whether they live on when the rules change (G11)."""

from __future__ import annotations

import enum
import select
import socket
import time
from itertools import count
from typing import Self

from netpol.lab.listeners import Place, open_socket
from netpol.lab.namespace import LabError
from netpol.lab.topology import Endpoint
from netpol.model.ports import Protocol

OPENING_SECONDS = 6.0
CONVERSATION_BYTES = 65536


class Speaker(enum.Enum):
    """The side of a flow that sends."""

    CLIENT = "client"
    SERVER = "server"


class Flow:
    """An open connection of TCP or UDP, both of its ends in our hands.

    LabError where it does not open. A UDP flow has been answered once, so that connection tracking calls it
    established like the TCP one.
    """

    def __init__(self, source: Endpoint, place: Place) -> None:
        if place.port is None or place.protocol not in {Protocol.TCP, Protocol.UDP}:
            raise LabError(f"no flow can be kept open to {place}")
        self._numbers = count()
        opening = _open_tcp if place.protocol is Protocol.TCP else _open_udp
        self._client, self._server = opening(source, place, place.port)
        self._heard = {Speaker.CLIENT: b"", Speaker.SERVER: b""}

    def passes(self, speaker: Speaker, seconds: float = 0.6) -> bool:
        """True where something new that `speaker` says is heard by the other side within `seconds`.

        What TCP could not deliver is repeated later, ever more seldom, and what is said after it waits behind it.
        """
        says, hears = (self._client, self._server) if speaker is Speaker.CLIENT else (self._server, self._client)
        word = f"<{next(self._numbers)}>".encode()
        try:
            says.send(word)
        except OSError:
            return False
        end = time.monotonic() + seconds
        while word not in self._heard[speaker]:
            if not _readable(hears, end):
                return False
            try:
                said = hears.recv(CONVERSATION_BYTES)
            except OSError:
                return False
            if not said:
                return False
            self._heard[speaker] += said
        return True

    def close(self) -> None:
        """Both ends are closed."""
        self._client.close()
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open_tcp(source: Endpoint, place: Place, port: int) -> tuple[socket.socket, socket.socket]:
    with open_socket(place.endpoint, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((str(place.endpoint.address), port))
        listening.listen()
        client = open_socket(source, socket.SOCK_STREAM)
        client.bind((str(source.address), source.namespace.fresh_source_port()))
        client.connect_ex((str(place.endpoint.address), port))
        if not _readable(listening, time.monotonic() + OPENING_SECONDS):
            client.close()
            raise LabError(f"no connection from {source} to {place}")
        server, _ = listening.accept()
    server.settimeout(0)
    return client, server


def _open_udp(source: Endpoint, place: Place, port: int) -> tuple[socket.socket, socket.socket]:
    client = open_socket(source, socket.SOCK_DGRAM)
    server = open_socket(place.endpoint, socket.SOCK_DGRAM)
    source_port = source.namespace.fresh_source_port()
    client.bind((str(source.address), source_port))
    server.bind((str(place.endpoint.address), port))
    client.connect((str(place.endpoint.address), port))
    server.connect((str(source.address), source_port))
    for says, hears in ((client, server), (server, client)):
        end = time.monotonic() + OPENING_SECONDS
        says.send(b"?")
        while not _readable(hears, min(end, time.monotonic() + 0.2)):
            if time.monotonic() >= end:
                client.close()
                server.close()
                raise LabError(f"no datagram came through from {source} to {place}, or back")
            says.send(b"?")
    return client, server


def _readable(opened: socket.socket, end: float) -> bool:
    # select.select() knows no descriptor above 1023.
    waiting = select.poll()
    waiting.register(opened, select.POLLIN)
    return bool(waiting.poll(max(0.0, end - time.monotonic()) * 1000))
