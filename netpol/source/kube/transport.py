"""The `kubernetes` package's client, with connections that another thread can end."""

from __future__ import annotations

import socket
from collections.abc import Callable

from kubernetes.client.api_client import ApiClient
from kubernetes.client.configuration import Configuration
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

import netpol


def open_client(configuration: Configuration, note: Callable[[socket.socket], None]) -> ApiClient:
    """A client that tells `note` of every connection it opens, before it sends anything."""

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            if self.sock is not None:
                note(self.sock)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            if self.sock is not None:
                note(self.sock)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    client = ApiClient(configuration)
    client.user_agent = f"netpol/{netpol.__version__}"
    client.rest_client.pool_manager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
    return client
