"""The service controller of one node without threads: facts go in, a kernel in memory changes, time is told."""

from __future__ import annotations

from collections.abc import Iterable

from builders import node
from live import Clock, Turns
from prometheus_client import CollectorRegistry
from proxy_facts import Told, gone, key_of, put

from netpol.bus import Bus
from netpol.dataplane.apply import Kernel
from netpol.dataplane.memory import MemoryKernel
from netpol.dataplane.table_keeper import TableKeeper
from netpol.model.facts import PROXY_KINDS, Kind
from netpol.model.networks import Family
from netpol.model.notices import Notice
from netpol.model.snapshot import ObjectName
from netpol.schedule import Schedule
from netpol.settings import ProxySettings
from netpol.telemetry.health import Health
from netpol.telemetry.metrics import Metrics
from netpol.telemetry.notices import NoticeBoard
from netpol.trigger import Trigger
from proxy.controller import PART, Instruments, Schedules, ServiceProxy
from proxy.healthcheck import HealthChecks
from proxy.kernel.memory import (
    MemoryBridges,
    MemoryLink,
    MemoryNodeAddresses,
    MemoryServers,
    MemorySysctls,
    MemoryTunnels,
)
from proxy.metrics import ProxyMetrics
from proxy.ownership import SERVICE_PROXY
from proxy.programming import Programming, Writers
from proxy.services.engine import ProxyEngine

SERVERS_PERIOD_SECONDS, RULES_PERIOD_SECONDS = 5.0, 30.0
NODE = node("n1", "192.0.2.1", pod_cidrs=["10.0.0.0/24"])
FAMILIES = (Family.IPV4,)


class ProxyNode:
    """The kernel of a node, in memory, which lasts while controllers come and go."""

    def __init__(self) -> None:
        self.memory = MemoryKernel()
        self.journal = self.memory.journal
        self.servers = MemoryServers(self.journal)
        self.link = MemoryLink(self.journal)
        self.sysctls = MemorySysctls(self.journal, self.link)
        self.tunnels = MemoryTunnels(self.journal)
        self.bridges = MemoryBridges(self.journal)
        self.node_addresses = MemoryNodeAddresses(frozenset(NODE.addresses))

    @property
    def seen(self) -> MemoryKernel:
        """Sets and tables as the proxy sees them."""
        return self.memory.seen_by(SERVICE_PROXY)

    def writers(self) -> Writers:
        """What a controller writes by."""
        seen = self.seen
        return Writers(
            Kernel(seen.sets, seen.tables, seen.flows),
            TableKeeper(seen.nat),
            TableKeeper(seen.mangle),
            self.servers,
            self.link,
            self.sysctls,
            self.tunnels,
            self.bridges,
        )


class LiveProxy:
    """A bus, a controller and a node's kernel."""

    def __init__(self, kernel: ProxyNode | None = None, settings: ProxySettings | None = None) -> None:
        self.kernel = kernel or ProxyNode()
        self.settings = settings or ProxySettings()
        self.clock = Clock()
        self.bus = Bus()
        self.agent_metrics = Metrics(CollectorRegistry())
        self.metrics = ProxyMetrics(self.agent_metrics.registry)
        self.health = Health(self.clock, stuck_after_seconds=60.0)
        self.health.expect_programmed(PART)
        self.told: list[tuple[ObjectName, str, str]] = []
        self.engine = ProxyEngine(NODE.name, FAMILIES, self.settings)
        self.programming = Programming(self.engine, self.kernel.writers(), self.settings)
        self.schedules = Schedules(
            *(Schedule(period, chance=lambda: 1.0) for period in (SERVERS_PERIOD_SECONDS, RULES_PERIOD_SECONDS))
        )
        self.health_checks = HealthChecks(self.clock)
        self.first_times = 0
        self.subscription = self.bus.subscribe(PROXY_KINDS, Trigger())
        self.proxy = ServiceProxy(
            self.subscription,
            self.engine,
            self.programming,
            self.kernel.node_addresses,
            self.schedules,
            Instruments(self.metrics, self.health, NoticeBoard(self.agent_metrics, self), self.clock),
            self.health_checks,
            self._note_first,
        )

    def started(self, *objects: Told) -> LiveProxy:
        """Itself, with all of this listed, and the node itself, and the kernel programmed."""
        self.announce(PROXY_KINDS, *objects)
        self.step()
        return self

    def announce(self, kinds: Iterable[Kind], *objects: Told) -> None:
        """The complete lists of these kinds."""
        named = {key_of(each): each for each in (NODE, *objects)}
        self.bus.replace_all(
            {kind: {key.object_name: each for key, each in named.items() if key.kind is kind} for kind in kinds}
        )

    def put(self, *objects: Told) -> None:
        """The source says that these are so, and the controller takes it."""
        for fact in put(*objects):
            self.bus.record(fact)
        self.step()

    def drop(self, *objects: Told) -> None:
        """The source says that these are gone, and the controller takes it."""
        for fact in gone(*objects):
            self.bus.record(fact)
        self.step()

    def step(self, after_seconds: float = 0.0) -> None:
        """One step of the controller, so much later."""
        self.clock.now += after_seconds
        self.proxy.step()

    def wait_seconds(self) -> float:
        """How long until something is to be compared."""
        return min(each.wait_seconds(self.clock.now) for each in self.schedules)

    def retry(self, most: int = 10) -> None:
        """Step whenever it is time to, until the kernel is known to hold what it should."""
        attempts = 0
        while not self.programming.is_certain or self.programming.refused:
            assert attempts < most, f"it does not recover within {most} attempts"
            attempts += 1
            self.step(self.wait_seconds() + 0.001)

    def run(self, *pulled: bool) -> list[float]:
        """The controller runs for so many waits; returns how long each may last."""
        turns = Turns(self.clock, *pulled)
        self.proxy.run(turns, turns.stop)
        return turns.waits

    def metric(self, name: str, **labels: str) -> float:
        """The value of a metric."""
        return self.agent_metrics.registry.get_sample_value(name, labels) or 0.0

    @property
    def operations(self) -> list[str]:
        """What was done to the kernel so far."""
        return list(self.kernel.journal.operations)

    def since(self, operations: Iterable[str]) -> list[str]:
        """What was done to it after these."""
        return self.operations[len(list(operations)) :]

    def offer(self, _key: object, _uid: str, notice: Notice) -> None:
        """`notices.NoticeSink`: keep what is told."""
        self.told.append(((notice.namespace, notice.name), notice.field, notice.message))

    def _note_first(self) -> None:
        self.first_times += 1
