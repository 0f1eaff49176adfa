"""The HTTP servers of metrics and probes: one request a connection, each with a time to be done in.

Anybody who reaches the node can connect, so no client may keep another from its answer: past
its time a connection is closed, and where there are too many, the oldest is.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from contextlib import ExitStack, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from ipaddress import IPv6Address, ip_address
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Self

from netpol.errors import NetpolError, UsageError
from netpol.settings import Listener
from netpol.telemetry.health import Health
from netpol.telemetry.logs import Log
from netpol.telemetry.metrics import Metrics
from netpol.telemetry.pages import Answer, Pages, health_pages, metrics_pages, text_answer

PATIENCE_SECONDS = 10.0
"""From a connection's start to its end; a scrape takes a hundredth of it, and kubelet's probes give up sooner."""

MOST_CONNECTIONS = 64

_POLL_SECONDS = 0.25

log = Log("telemetry.http")


class HttpServer:
    """Serves pages on threads of its own, from its making until `stop`."""

    def __init__(self, flag: str, listener: Listener, pages: Pages, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Listen; a port of 0 is any free one. NetpolError where it cannot be had, in words that name the flag."""
        family, address = _bound_to(flag, listener.address)
        try:
            self._server = _Server(family, (address, listener.port), pages, patience_seconds)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            reason = "another program listens there" if taken else os.strerror(error.errno or 0)
            raise NetpolError(f"{flag} {listener.port}: {reason}") from None
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name=flag.strip("-"), daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self._server.server_address[1]
        return port

    def stop(self) -> None:
        """Nothing is listened to any more, and every connection is closed; a second stop does nothing."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class TelemetryServers:
    """Metrics and probes, each on its listener; None is served nowhere. The probes are answered beside metrics too."""

    def __init__(
        self,
        metrics: Metrics,
        health: Health,
        metrics_at: Listener | None,
        metrics_path: str,
        health_at: Listener | None,
    ) -> None:
        """Listen; NetpolError where a port cannot be had, and then neither is."""
        probes = health_pages(health)
        scrapes = metrics_pages(metrics_path, metrics.registry)
        with ExitStack() as opened:
            self.metrics_server = (
                opened.enter_context(HttpServer("--metrics-port", metrics_at, probes | scrapes)) if metrics_at else None
            )
            self.health_server = (
                opened.enter_context(HttpServer("--health-port", health_at, probes)) if health_at else None
            )
            self._opened = opened.pop_all()

    def stop(self) -> None:
        """Nothing is served any more."""
        self._opened.close()


def _bound_to(flag: str, address: str) -> tuple[socket.AddressFamily, str]:
    """The family and address to bind: of both families where none is named and the host has IPv6."""
    if not address:
        return (socket.AF_INET6, "::") if socket.has_dualstack_ipv6() else (socket.AF_INET, "0.0.0.0")  # noqa: S104  probes come to any
    try:
        named = ip_address(address)
    except ValueError:
        raise UsageError(f"{flag}: {address} is no IP address") from None
    return (socket.AF_INET6 if isinstance(named, IPv6Address) else socket.AF_INET), address


class _Server(ThreadingMixIn, TCPServer):
    """Accepts connections, and ends those that outstay their time."""

    allow_reuse_address = True
    block_on_close = False
    daemon_threads = True
    request_queue_size = MOST_CONNECTIONS

    def __init__(
        self, family: socket.AddressFamily, address: tuple[str, int], pages: Pages, patience_seconds: float
    ) -> None:
        self.address_family = family
        self.pages = pages
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._deadlines: dict[socket.socket, float] = {}
        super().__init__(address, _Connection)

    def server_bind(self) -> None:
        if self.server_address[0] == "::":
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            return super().get_request()
        except OSError:
            # Out of file descriptors, the connection stays where it is and would be asked for again at once.
            time.sleep(_POLL_SECONDS)
            raise

    def verify_request(self, request: Any, client_address: Any) -> bool:
        with self._lock:
            self._deadlines[request] = time.monotonic() + self._patience_seconds
        return super().verify_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._deadlines.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Between two connections, and several times a second: end what is overdue, and the oldest of too many."""
        now = time.monotonic()
        with self._lock:
            in_order = list(self._deadlines.items())
        too_many = in_order[: max(0, len(in_order) - MOST_CONNECTIONS)]
        for connection, _ in (*too_many, *(each for each in in_order if each[1] <= now)):
            _end(connection)

    def server_close(self) -> None:
        super().server_close()
        with self._lock:
            left = list(self._deadlines)
        for connection in left:
            _end(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a client that goes before its answer is no fault, and pages' own are told of where they happen."""


def _end(connection: socket.socket) -> None:
    """The thread that reads or writes it goes on at once, and closes it."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Connection(BaseHTTPRequestHandler):
    """Reads one request and answers it, without a line in the log."""

    server: _Server

    def do_GET(self) -> None:
        """The page of the path."""
        self._send(self._answered(), with_body=True)

    def do_HEAD(self) -> None:
        """What GET says of the page, without the page."""
        self._send(self._answered(), with_body=False)

    def _answered(self) -> Answer:
        path = self.path.partition("?")[0]
        page = self.server.pages.get(path)
        if page is None:
            return text_answer(HTTPStatus.NOT_FOUND, "not found\n")
        try:
            return page(self.headers.get)
        except Exception:  # what fails in one answer ends no more than that, and is told
            log.exception("a page failed", path=path)
            return text_answer(HTTPStatus.INTERNAL_SERVER_ERROR, "failed\n")

    def _send(self, answer: Answer, *, with_body: bool) -> None:
        self.send_response(answer.status)
        for name, value in (*answer.headers, ("Content-Length", str(len(answer.body)))):
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name there
        """Nothing: a line for each probe would bury the rest."""

    def version_string(self) -> str:
        """Whose server it is, and not which Python's."""
        return "netpol"
