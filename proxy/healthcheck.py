"""Health check node ports: where load balancers ask each node whether it has endpoints of a service."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http import HTTPStatus

from netpol.errors import NetpolError
from netpol.model.snapshot import ObjectName
from netpol.settings import Listener
from netpol.telemetry.http import HttpServer
from netpol.telemetry.logs import Log
from netpol.telemetry.pages import Answer, Page
from proxy.services.served import HealthCheck

RETRY_SECONDS = 5.0
"""How soon a port that another program listens on is tried again."""

log = Log("proxy.healthcheck")


class HealthChecks:
    """A server for each port, on all addresses; answers as kube-proxy does, whatever the path.

    A port that cannot be had is told, once, and tried again; nothing else depends on it.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._wanted: dict[ObjectName, HealthCheck] = {}
        self._servers: dict[int, HttpServer] = {}
        self._refused: dict[int, str] = {}
        self._retry_at = 0.0

    def follow(self, wanted: Mapping[ObjectName, HealthCheck]) -> None:
        """From here on exactly these are answered."""
        self._wanted = dict(wanted)
        ports = {each.port for each in self._wanted.values()}
        for port in self._servers.keys() - ports:
            # Its end is waited for by a thread of its own: that takes as long as a turn of its loop.
            threading.Thread(target=self._servers.pop(port).stop, name="health check's end", daemon=True).start()
        self._refused = {port: reason for port, reason in self._refused.items() if port in ports}
        self._listen(ports - self._servers.keys())

    def retry(self) -> None:
        """What could not be listened on is tried again, where that is due."""
        if self._refused and self._clock() >= self._retry_at:
            self._listen(set(self._refused))

    def retry_wait_seconds(self) -> float | None:
        """How long until a port is tried again; None where all are had."""
        return max(0.0, self._retry_at - self._clock()) if self._refused else None

    def stop(self) -> None:
        """Nothing is answered any more."""
        for server in self._servers.values():
            server.stop()
        self._servers.clear()
        self._refused.clear()

    def _listen(self, ports: set[int]) -> None:
        for port in sorted(ports):
            try:
                self._servers[port] = HttpServer(
                    "health check node port", Listener(port), _EveryPath(partial(self._answer, port))
                )
            except NetpolError as refusal:
                if self._refused.get(port) != str(refusal):
                    log.warning("a health check cannot be answered", reason=refusal, retry_s=RETRY_SECONDS)
                self._refused[port] = str(refusal)
            else:
                self._refused.pop(port, None)
        self._retry_at = self._clock() + RETRY_SECONDS

    def _answer(self, port: int, _: object) -> Answer:
        """Asked by the servers' threads."""
        for (namespace, name), check in self._wanted.items():
            if check.port == port:
                return _answered(namespace, name, check.local_endpoints)
        return _answered("", "", 0)


class _EveryPath(Mapping[str, Page]):
    """One page under every path."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def __getitem__(self, path: str) -> Page:
        return self._page

    def __iter__(self) -> Iterator[str]:
        return iter(("/",))

    def __len__(self) -> int:
        return 1


def _answered(namespace: str, name: str, endpoints: int) -> Answer:
    said = {
        "service": {"namespace": namespace, "name": name},
        "localEndpoints": endpoints,
        "serviceProxyHealthy": True,
    }
    headers = (
        ("Content-Type", "application/json"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Load-Balancing-Endpoint-Weight", str(endpoints)),
    )
    status = HTTPStatus.OK if endpoints else HTTPStatus.SERVICE_UNAVAILABLE
    return Answer(status, json.dumps(said).encode(), headers)
