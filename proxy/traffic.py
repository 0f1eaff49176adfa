"""What services carry, under kube-router's names: read from the kernel when it is scraped."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import Counter
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from netpol.model.snapshot import ObjectName
from proxy.model import HeldServer, ServerAddress, ServerKey, Traffic

PATIENCE_SECONDS = 3.0
"""How long a scrape waits for what services carry; who scrapes gives up on all after ten seconds, as a rule."""

_LABELS = ("svc_namespace", "service_name", "service_vip", "protocol", "port")

Read = Callable[[], Mapping[ServerKey, HeldServer]]
Services = Callable[[], Mapping[ServerKey, ObjectName]]

_KINDS: tuple[tuple[str, str, str, Callable[[Traffic], int]], ...] = (
    ("total_connections", "unknown", "Connections since the server was made.", lambda each: each.connections),
    ("packets_in", "unknown", "Packets from clients.", lambda each: each.packets_in),
    ("packets_out", "unknown", "Packets to clients.", lambda each: each.packets_out),
    ("bytes_in", "unknown", "Bytes from clients.", lambda each: each.bytes_in),
    ("bytes_out", "unknown", "Bytes to clients.", lambda each: each.bytes_out),
    ("cps", "gauge", "Connections a second.", lambda each: each.connections_per_second),
    ("pps_in", "gauge", "Packets a second from clients.", lambda each: each.packets_in_per_second),
    ("pps_out", "gauge", "Packets a second to clients.", lambda each: each.packets_out_per_second),
    ("bps_in", "gauge", "Bytes a second from clients.", lambda each: each.bytes_in_per_second),
    ("bps_out", "gauge", "Bytes a second to clients.", lambda each: each.bytes_out_per_second),
)
"""Counters by their nature are of no type, for their names lack the `_total` that theirs demands."""


class ServiceTraffic(Collector):
    """A sample for each server that a service has by an address; a scrape that cannot read them has none."""

    def __init__(
        self, read: Read, services: Services, failures: Counter, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        """`read` is called on a thread of its own, one at a time. `services` tells whose the servers are."""
        self._read = read
        self._services = services
        self._failures = failures
        self._patience_seconds = patience_seconds
        self._reading = threading.Lock()

    def describe(self) -> Iterator[Metric]:
        """The names alone."""
        for name, kind, text, _ in _KINDS:
            yield Metric(f"kube_router_service_{name}", text, kind)

    def collect(self) -> Iterator[Metric]:
        """What each server has carried, and carries a second."""
        held = self._read_in_time()
        if held is None:
            self._failures.inc()
            held = {}
        services = self._services()
        carried = [
            ((*services[key], str(key.address), key.protocol.value.lower(), str(key.port)), server.traffic)
            for key, server in held.items()
            if isinstance(key, ServerAddress) and key in services
        ]
        for metric, (_, _, _, value) in zip(self.describe(), _KINDS, strict=True):
            for labels, traffic in carried:
                metric.add_sample(metric.name, dict(zip(_LABELS, labels, strict=True)), value(traffic))
            yield metric

    def _read_in_time(self) -> Mapping[ServerKey, HeldServer] | None:
        """None where it failed, takes too long, or an earlier scrape's is not done yet."""
        if not self._reading.acquire(blocking=False):
            return None
        answer: queue.SimpleQueue[Mapping[ServerKey, HeldServer] | None] = queue.SimpleQueue()
        threading.Thread(target=self._answer, args=(answer,), name="service traffic", daemon=True).start()
        try:
            return answer.get(timeout=self._patience_seconds)
        except queue.Empty:
            return None

    def _answer(self, answer: queue.SimpleQueue[Mapping[ServerKey, HeldServer] | None]) -> None:
        try:
            answer.put(self._read())
        except Exception:  # whatever it is, the other metrics are to be had
            answer.put(None)
        finally:
            self._reading.release()
