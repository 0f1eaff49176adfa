"""The `kubernetes` package's client, with connections that another thread can end."""

from __future__ import annotations

import contextlib
import socket
from weakref import WeakSet

from kubernetes.client.api_client import ApiClient
from kubernetes.client.configuration import Configuration
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

Sockets = WeakSet[socket.socket]


def open_client(configuration: Configuration, sockets: Sockets) -> ApiClient:
    """A client whose open connections are all in `sockets`, so that `end` finds them."""

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            _note(self.sock, sockets)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            _note(self.sock, sockets)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    client = ApiClient(configuration)
    client.rest_client.pool_manager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
    return client


def end(sockets: Sockets) -> None:
    """Whoever waits for something from one of the sockets hears at once that nothing will come."""
    for each in list(sockets):
        with contextlib.suppress(OSError):
            # The method of ssl's own sockets forgets the session, under the feet of the thread that reads.
            socket.socket.shutdown(each, socket.SHUT_RDWR)


def _note(opened: socket.socket | None, sockets: Sockets) -> None:
    if opened is not None:
        sockets.add(opened)
