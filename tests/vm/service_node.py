"""Node one of a lab, whose services are kept by the proxy's thread in this process, which is told facts as they come.

The agent as a process of its own takes seconds to start, and half of one to notice a manifest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from prometheus_client import CollectorRegistry
from proxy_builders import server
from proxy_facts import Told, gone, key_of, put
from vm.service_lab import ServiceLab
from waiting import wait_until

from netpol.agent.own_writes import WritesOfAll
from netpol.agent.proxy_kernel import read_servers
from netpol.agent.proxy_thread import ProxyThread
from netpol.bus import Bus
from netpol.model.facts import PROXY_KINDS, Key
from netpol.model.notices import Notice
from netpol.settings import AgentSettings, DirectorySource, NodeOptions, ProxySettings, Variant
from netpol.telemetry.health import Health
from netpol.telemetry.metrics import Metrics
from netpol.telemetry.notices import NoticeBoard
from proxy.controller import Instruments
from proxy.metrics import ProxyMetrics
from proxy.model import Destination, HeldDestination, HeldServer, ServerKey


class ServiceNode:
    """Inside the context, the node's kernel holds what was told, and is kept so; afterwards it still does."""

    def __init__(
        self, lab: ServiceLab, *told: Told, settings: ProxySettings | None = None, sync_seconds: float = 30.0
    ) -> None:
        self.lab = lab
        self.metrics = Metrics(CollectorRegistry())
        self.notices: list[str] = []
        """What was said of services that do not get what they ask for."""
        proxy = settings or ProxySettings(sync_period_seconds=sync_seconds)
        agent = AgentSettings(
            NodeOptions("one"), DirectorySource(Path("/")), sync_period_seconds=sync_seconds, proxy=proxy
        )
        self._bus = Bus()
        self._proxy_metrics = ProxyMetrics(self.metrics.registry)
        board = NoticeBoard(self.metrics, self)
        instruments = Instruments(self._proxy_metrics, Health(time.monotonic, 60.0), board, time.monotonic)
        own = WritesOfAll()
        self._thread = ProxyThread(agent, proxy, Variant.LEGACY, self._bus, self.metrics, instruments, own)
        named = {key_of(each): each for each in (*lab.lab.nodes.values(), *told)}
        self._bus.replace_all(
            {kind: {key.object_name: each for key, each in named.items() if key.kind is kind} for kind in PROXY_KINDS}
        )

    def __enter__(self) -> Self:
        # A thread is in the network namespace of the one that starts it.
        with self.lab.node.entered():
            self._thread.start()
        wait_until(lambda: not self._thread.is_alive() or self.metric("netpol_proxy_in_sync"), "services programmed")
        assert self._thread.is_alive(), self._thread.error
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop()
        assert self._thread.error is None

    def put(self, *objects: Told) -> None:
        """The cluster has these, whatever it had before."""
        for fact in put(*objects):
            self._bus.record(fact)

    def drop(self, *objects: Told) -> None:
        """The cluster has these no more."""
        for fact in gone(*objects):
            self._bus.record(fact)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Returns once the condition holds; the proxy must live on."""
        wait_until(lambda: not self._thread.is_alive() or condition(), what)
        assert self._thread.is_alive(), self._thread.error

    def until_weights(self, name: str, weights: Mapping[str, int]) -> None:
        """Returns once the virtual server has exactly these destinations, with these weights."""
        self.until(lambda: self.weights(name) == weights, f"{name}: {weights}")

    def weights(self, name: str) -> dict[str, int] | None:
        """The weight of each destination of a virtual server; None where there is none."""
        found = self.servers().get(server(name))
        return None if found is None else {str(to): held.weight for to, held in found.destinations.items()}

    def destinations(self, name: str) -> Mapping[Destination, HeldDestination]:
        """The destinations of the virtual server."""
        return self.servers()[server(name)].destinations

    def servers(self) -> Mapping[ServerKey, HeldServer]:
        """Every virtual server that the node's kernel has."""
        with self.lab.node.entered():
            return read_servers()

    def metric(self, name: str, **labels: str) -> float:
        """The value of one of its metrics."""
        with self.lab.node.entered():
            return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def offer(self, _key: Key, _uid: str, notice: Notice) -> None:
        """`notices.NoticeSink`: keep what is told."""
        self.notices.append(str(notice))
