"""The firewall's thread: the policy controller, the writers it works with, and who watches over what it wrote."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from netpol.agent.control_thread import ControlThread
from netpol.agent.own_writes import WritesOfAll
from netpol.agent.watching import UNTOLD, watching
from netpol.bus import Bus
from netpol.compiler.engine import Engine
from netpol.control.cutter import Cutter
from netpol.control.firewall import Firewall, Instruments
from netpol.control.pending import PendingFacts
from netpol.dataplane.apply import Kernel
from netpol.dataplane.conntrack import NetlinkFlows
from netpol.dataplane.foreign import ForeignChanges
from netpol.dataplane.ipset import NetlinkSets
from netpol.dataplane.iptables import IptablesTables
from netpol.dataplane.keeper import Keeper
from netpol.dataplane.opening import other_tables
from netpol.dataplane.spares import Spares
from netpol.model.facts import FIREWALL_KINDS
from netpol.schedule import Schedule
from netpol.settings import AgentSettings, Variant
from netpol.telemetry.logs import Log

log = Log("agent")


class FirewallThread(ControlThread):
    """The only thread that writes what policies ask for."""

    def __init__(
        self,
        settings: AgentSettings,
        variant: Variant,
        bus: Bus,
        instruments: Instruments,
        pending: PendingFacts,
        own: WritesOfAll,
        on_first: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_first` is called once, when the kernel is programmed for the first time."""
        super().__init__("control", bus, FIREWALL_KINDS)
        self._settings = settings
        self._variant = variant
        self._instruments = instruments
        self.engine = Engine(settings.node)
        self._pending = pending
        self._own = own
        self._on_first = on_first

    def keep(self) -> None:
        """The kernel was kept until it was to be no more."""
        node = self._settings.node
        with NetlinkSets() as sets, NetlinkFlows() as flows, Spares() as spares:
            tables = IptablesTables(self._variant, spares=spares)
            self._own.join(tables)
            kernel = Kernel(sets, tables, flows)
            firewall = Firewall(
                self.subscription,
                self.engine,
                Keeper(kernel, tuple(other_tables(self._variant).values())),
                Cutter(kernel, node.name),
                Schedule(self._settings.sync_period_seconds, random.random),
                self._instruments,
                self._pending,
                self._on_first,
            )

            def alarm(words: str | None) -> None:
                log.info("somebody else changed the filter table", what=words)
                firewall.alarm()
                self.trigger.pull()

            open_changes = partial(ForeignChanges, self._variant, self._own)
            with watching("changes by others", open_changes, alarm, UNTOLD, self.stopping):
                firewall.run(self.trigger, self.stopping)
