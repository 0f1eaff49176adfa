"""Servers in pods, which say who they are and whom they hear."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from contextlib import ExitStack
from selectors import EVENT_READ, DefaultSelector
from typing import NamedTuple, Self

from netpol.lab.listeners import BACKLOG, Place, losing_what_is_refused, open_socket
from netpol.model.ports import Protocol

MOST_BYTES = 4096
LOOK_SECONDS = 0.2

KINDS = {
    Protocol.TCP: (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    Protocol.UDP: (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    Protocol.SCTP: (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
"""What the socket of a protocol is made with."""


class Reply(NamedTuple):
    """What a server answered: its namespace's name, and the address it was asked from."""

    name: str
    peer: str


class Servers:
    """At each of these places a server that answers whatever it is sent with a `Reply`, time and again."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._selector = DefaultSelector()
        self._open: list[socket.socket] = []
        self._stopped = threading.Event()
        with ExitStack() as until_complete:
            until_complete.callback(self._close_sockets)
            for place in places:
                self._listen(place)
            until_complete.pop_all()
        self._thread = threading.Thread(target=self._serve, name="servers", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Nobody answers any more, and every connection is closed."""
        self._stopped.set()
        self._thread.join()
        self._close_sockets()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listen(self, place: Place) -> None:
        listening = open_socket(place.endpoint, *KINDS[place.protocol])
        self._open.append(listening)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((str(place.endpoint.address), place.port or 0))
        name = place.endpoint.namespace.name
        if place.protocol is Protocol.UDP:
            self._selector.register(listening, EVENT_READ, lambda: _answer_datagram(listening, name))
        else:
            listening.listen(BACKLOG)
            self._selector.register(listening, EVENT_READ, lambda: self._accept(listening, name))

    def _accept(self, listening: socket.socket, name: str) -> None:
        connection, peer = listening.accept()
        self._open.append(connection)

        def answer() -> None:
            try:
                asked = connection.recv(MOST_BYTES)
                if asked:
                    connection.send(f"{name} {peer[0]}\n".encode())
            except ConnectionError:
                asked = b""
            if not asked:
                self._selector.unregister(connection)
                self._open.remove(connection)
                connection.close()

        self._selector.register(connection, EVENT_READ, answer)

    def _serve(self) -> None:
        while not self._stopped.is_set():
            for key, _ in self._selector.select(LOOK_SECONDS):
                key.data()

    def _close_sockets(self) -> None:
        self._selector.close()
        for opened in self._open:
            opened.close()


def _answer_datagram(listening: socket.socket, name: str) -> None:
    _, peer = listening.recvfrom(MOST_BYTES)
    with losing_what_is_refused():
        listening.sendto(f"{name} {peer[0]}\n".encode(), peer)
