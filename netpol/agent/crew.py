"""The threads that keep the kernel, as far as they are to run: made, started and stopped together."""

from __future__ import annotations

import time
from contextlib import ExitStack

from netpol.agent.clearing import Owners, clear_all
from netpol.agent.control_thread import ControlThread
from netpol.agent.own_writes import WritesOfAll
from netpol.agent.proxy_thread import ProxyThread
from netpol.agent.rounds import LateLists, Round
from netpol.agent.settling import Settling
from netpol.bus import Bus
from netpol.dataplane.variant import variants_present
from netpol.errors import NetpolError
from netpol.settings import AgentSettings, ProxySettings, Variant
from netpol.telemetry.health import Health
from netpol.telemetry.logs import Log
from netpol.telemetry.metrics import Metrics
from netpol.telemetry.notices import NoticeBoard
from proxy import controller
from proxy.metrics import ProxyMetrics

log = Log("agent")


class Crew:
    """The firewall's thread, or the service proxy's, or both; each has its own part of the kernel."""

    def __init__(
        self,
        settings: AgentSettings,
        variant: Variant,
        bus: Bus,
        metrics: Metrics,
        health: Health,
        notices: NoticeBoard,
        stack: ExitStack,
    ) -> None:
        """What they need beside, `stack` ends."""
        self._settings = settings
        self._variant, self._bus = variant, bus
        self._metrics, self._health, self._notices = metrics, health, notices
        self._settling = Settling(settings.firewall + (settings.proxy is not None))
        self._own = WritesOfAll()
        self._threads: list[ControlThread] = []
        self._owners = Owners(0)
        self._rounds: list[Round] = []
        if settings.firewall:
            self._add_firewall(stack)
        else:
            _hide_firewall(metrics)
        if settings.proxy is not None:
            self._add_proxy(settings.proxy)
        late_at = time.monotonic() + settings.cache_sync_timeout_seconds
        self._rounds.append(LateLists([thread.subscription for thread in self._threads], late_at))

    def start(self) -> None:
        """The kernel is kept from here on."""
        for thread in self._threads:
            thread.start()

    def is_alive(self) -> bool:
        """False once any of them has stopped, or died."""
        return all(thread.is_alive() for thread in self._threads)

    def make_rounds(self, now: float) -> None:
        """Whatever is due at `now` was looked at."""
        for each in self._rounds:
            each.make(now)

    def stop(self) -> None:
        """Nothing is written any more; what they wrote stays in force, unless it was to be removed."""
        for thread in self._threads:
            thread.ask_to_stop()
        for thread in self._threads:
            thread.stop()
        if self._settings.cleanup_on_exit and not any(thread.error or thread.is_alive() for thread in self._threads):
            removed = clear_all(variants_present(), self._owners)
            log.info("cleaned up", done=removed)
            for line in removed.left:
                log.warning("left", reason=line)

    def raise_errors(self) -> None:
        """NetpolError where one has died."""
        for thread in self._threads:
            if isinstance(thread.error, NetpolError):
                raise NetpolError(f"the {thread.name} thread ended: {thread.error}") from thread.error
            if thread.error is not None:
                raise NetpolError(f"the {thread.name} thread ended: {thread.error!r}") from thread.error

    def _add_firewall(self, stack: ExitStack) -> None:
        from netpol.agent.enforcement import open_enforcement  # noqa: PLC0415  a proxy alone does without, see there

        self._owners |= Owners.FIREWALL
        thread, review = open_enforcement(
            self._settings,
            self._variant,
            self._bus,
            self._metrics,
            self._health,
            self._notices,
            self._own,
            self._settling.one,
            stack,
        )
        self._threads.append(thread)
        self._rounds.append(review)

    def _add_proxy(self, proxy: ProxySettings) -> None:
        self._health.expect_programmed(controller.PART)
        own = controller.Instruments(ProxyMetrics(self._metrics.registry), self._health, self._notices, time.monotonic)
        self._owners |= Owners.SERVICE_PROXY
        thread = ProxyThread(
            self._settings, proxy, self._variant, self._bus, self._metrics, own, self._own, self._settling.one
        )
        self._threads.append(thread)


def _hide_firewall(metrics: Metrics) -> None:
    """What would say that the firewall is not well is not told where none runs."""
    for gauge in (metrics.in_sync, metrics.last_success_timestamp_seconds, metrics.audit_listening):
        metrics.registry.unregister(gauge)
