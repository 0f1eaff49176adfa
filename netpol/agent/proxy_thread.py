"""The service proxy's thread: the service controller, and the writers it works with."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import partial

from netpol.agent.control_thread import ControlThread
from netpol.agent.own_writes import WritesOfAll
from netpol.agent.proxy_kernel import clear_superseded, open_proxy_kernel, read_servers
from netpol.agent.watching import UNTOLD, watching
from netpol.bus import Bus
from netpol.dataplane.foreign import ForeignChanges
from netpol.model.facts import PROXY_KINDS
from netpol.model.snapshot import ObjectName
from netpol.schedule import Schedule
from netpol.settings import AgentSettings, ProxySettings, Variant
from netpol.telemetry.logs import Log
from netpol.telemetry.metrics import Metrics
from proxy.controller import Extent, Instruments, Schedules, ServiceProxy
from proxy.healthcheck import HealthChecks
from proxy.kernel.node_addresses import AddressChanges, LinkNews
from proxy.model import ServerKey
from proxy.ownership import SERVICE_PROXY
from proxy.programming import Programming
from proxy.services.engine import ProxyEngine
from proxy.traffic import ServiceTraffic

log = Log("agent")


class ProxyThread(ControlThread):
    """The only thread that writes what services ask for."""

    def __init__(
        self,
        settings: AgentSettings,
        proxy: ProxySettings,
        variant: Variant,
        bus: Bus,
        agent_metrics: Metrics,
        instruments: Instruments,
        own: WritesOfAll,
        on_first: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_first` is called once, when the kernel is programmed for the first time."""
        super().__init__("service proxy", bus, PROXY_KINDS)
        self._settings = settings
        self._proxy = proxy
        self._variant = variant
        self._instruments = instruments
        self._own = own
        self._on_first = on_first
        self._controller: ServiceProxy | None = None
        traffic = ServiceTraffic(read_servers, self._services, instruments.metrics.scrape_failures)
        agent_metrics.registry.register(traffic)

    def keep(self) -> None:
        """The kernel was kept until it was to be no more; what is there then goes on serving."""
        node, settings = self._settings.node, self._proxy
        clear_superseded(self._variant)
        with open_proxy_kernel(self._variant, node.families, self._own.join) as kernel:
            engine = ProxyEngine(node.name, node.families, settings)
            periods = settings.sync_period_seconds, self._settings.sync_period_seconds
            controller = ServiceProxy(
                self.subscription,
                engine,
                Programming(engine, kernel.writers, settings),
                kernel.node_addresses,
                Schedules(*(Schedule(period, random.random) for period in periods)),
                self._instruments,
                HealthChecks(self._instruments.clock),
                self._on_first,
            )
            self._controller = controller

            def alarm(words: str | None) -> None:
                log.info("somebody else changed tables", what=words)
                controller.alarm(Extent.RULES)
                self.trigger.pull()

            def tell(news: LinkNews) -> None:
                controller.tell(news)
                self.trigger.pull()

            missed = LinkNews(has_moved=True, is_link_down=True)
            open_changes = partial(ForeignChanges, self._variant, self._own, SERVICE_PROXY)
            with (
                watching("changes by others to services' tables", open_changes, alarm, UNTOLD, self.stopping),
                watching("changes of the node's addresses", AddressChanges, tell, missed, self.stopping),
            ):
                controller.run(self.trigger, self.stopping)

    def _services(self) -> Mapping[ServerKey, ObjectName]:
        """Whose each virtual server is, as far as that is known."""
        return {} if self._controller is None else self._controller.services
