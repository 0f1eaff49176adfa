"""How to ask a server who it is, and whom it hears: of our own servers, and of those in a cluster's pods."""

from __future__ import annotations

import socket
from collections.abc import Callable
from http.client import HTTPResponse

from vm.servers import MOST_BYTES, Reply

Dialect = Callable[[socket.socket], Reply]
"""Asks by an open connection; TimeoutError or another OSError where there is no answer."""


def echo(opened: socket.socket) -> Reply:
    """What one of our `Servers` answers."""
    name, _, peer = _exchange(opened, "?").partition(" ")
    return Reply(name, peer)


def netexec(opened: socket.socket) -> Reply:
    """What `agnhost netexec` answers, in a pod of a real cluster: by HTTP on TCP, by its own words on UDP."""
    ask = _get if opened.type is socket.SOCK_STREAM else _exchange
    name, peer = ask(opened, "hostname"), ask(opened, "clientip")
    return Reply(name, peer.rpartition(":")[0].strip("[]"))


def _exchange(opened: socket.socket, words: str) -> str:
    opened.send(f"{words}\n".encode())
    heard = opened.recv(MOST_BYTES)
    if not heard:
        raise ConnectionResetError("closed by the other side")
    return heard.decode().strip()


def _get(opened: socket.socket, path: str) -> str:
    opened.sendall(f"GET /{path} HTTP/1.1\r\nHost: pod\r\n\r\n".encode())
    with HTTPResponse(opened) as response:
        response.begin()
        return response.read().decode().strip()
