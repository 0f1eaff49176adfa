"""A connection through a service, seen from both of its ends."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from vm.servers import KINDS
from vm.ways import SILENT_SECONDS, Way

from netpol.lab.listeners import AF
from netpol.lab.topology import Endpoint
from netpol.model.ports import Protocol


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
        if way.protocol is Protocol.TCP:
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
