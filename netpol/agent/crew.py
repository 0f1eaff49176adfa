"""The threads that keep the kernel, as far as they are to run: made, started and stopped together."""

from __future__ import annotations

import time
from contextlib import ExitStack

from netpol.agent.clearing import Owners, clear_all
from netpol.agent.control_thread import ControlThread
from netpol.agent.firewall_thread import FirewallThread
from netpol.agent.own_writes import WritesOfAll
from netpol.agent.proxy_thread import ProxyThread
from netpol.agent.rounds import LateLists, PolicyReview, Round
from netpol.agent.settling import Settling
from netpol.audit.clock import wall_clock
from netpol.audit.recording import recording
from netpol.bus import Bus
from netpol.control import firewall
from netpol.control.firewall import Instruments
from netpol.control.pending import PendingFacts
from netpol.dataplane.variant import variants_present
from netpol.errors import NetpolError
from netpol.settings import AgentSettings, ProxySettings, Variant
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
        instruments: Instruments,
        notices: NoticeBoard,
        stack: ExitStack,
    ) -> None:
        """What they need beside, `stack` ends."""
        self._settings = settings
        self._settling = Settling(settings.firewall + (settings.proxy is not None))
        self._own = WritesOfAll()
        self._threads: list[ControlThread] = []
        self._owners = Owners(0)
        self._rounds: list[Round] = []
        if settings.firewall:
            self._add_firewall(variant, bus, instruments, notices, stack)
        else:
            _hide_firewall(instruments.metrics)
        if settings.proxy is not None:
            self._add_proxy(settings.proxy, variant, bus, instruments, notices)
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

    def _add_firewall(
        self, variant: Variant, bus: Bus, instruments: Instruments, notices: NoticeBoard, stack: ExitStack
    ) -> None:
        node = self._settings.node
        instruments.health.expect_programmed(firewall.PART)
        recorder = stack.enter_context(recording(node, self._settings.audit, instruments.metrics))
        pending = PendingFacts(recorder.follow, wall_clock)
        self._owners |= Owners.FIREWALL
        thread = FirewallThread(self._settings, variant, bus, instruments, pending, self._own, self._settling.one)
        self._threads.append(thread)
        self._rounds.append(PolicyReview(node, thread.subscription, thread.engine.snapshot, notices))

    def _add_proxy(
        self, proxy: ProxySettings, variant: Variant, bus: Bus, instruments: Instruments, notices: NoticeBoard
    ) -> None:
        metrics, health = instruments.metrics, instruments.health
        health.expect_programmed(controller.PART)
        own = controller.Instruments(ProxyMetrics(metrics.registry), health, notices, instruments.clock)
        settled = self._settling.one
        self._owners |= Owners.SERVICE_PROXY
        self._threads.append(ProxyThread(self._settings, proxy, variant, bus, metrics, own, self._own, settled))


def _hide_firewall(metrics: Metrics) -> None:
    """What would say that the firewall is not well is not told where none runs."""
    for gauge in (metrics.in_sync, metrics.last_success_timestamp_seconds, metrics.audit_listening):
        metrics.registry.unregister(gauge)
