"""The agent from its start to its end: sources, the threads that keep the kernel, and who tells how they are."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import ExitStack

from netpol.agent import settling
from netpol.agent.crew import Crew
from netpol.agent.sources import open_source
from netpol.bus import Bus
from netpol.dataplane.bridges import unseen
from netpol.dataplane.tool import TIMEOUT_SECONDS
from netpol.dataplane.variant import detect
from netpol.errors import NetpolError, UsageError
from netpol.model.facts import FIREWALL_KINDS, PROXY_KINDS, Kind
from netpol.model.snapshot import Snapshot
from netpol.settings import AgentSettings
from netpol.source.presence import require_node
from netpol.telemetry.health import Health
from netpol.telemetry.http import TelemetryServers
from netpol.telemetry.logs import Log, configure
from netpol.telemetry.metrics import Metrics

STUCK_SECONDS = 3 * TIMEOUT_SECONDS
"""Longer than a write, its undoing and the reads around them may take where each tool hangs until it is killed."""
PORTS_SECONDS = 5.0
SIGNALS = (signal.SIGTERM, signal.SIGINT)

log = Log("agent")


def run_agent(settings: AgentSettings) -> int:
    """0 after a signal that asked the agent to stop; the rules then stay in force, unless asked for otherwise.

    NetpolError where it cannot start, or where one of its control threads has died.
    """
    configure(settings.verbosity, sys.stderr)
    settling.start()
    # Every thread started from here on leaves the signals to this one.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    variant = settings.variant or detect()
    log.info("starting", node=settings.node.name, variant=variant, source=str(settings.source))
    metrics = Metrics()
    health = Health(time.monotonic, STUCK_SECONDS)
    bus = Bus()
    with ExitStack() as stack:
        stack.callback(_serve(settings, metrics, health).stop)
        source, notices = open_source(settings, kinds_of(settings), bus, metrics, health, stack)
        crew = Crew(settings, variant, bus, metrics, health, notices, stack)
        stack.callback(source.stop)
        _require_node(settings, source.start())
        crew.start()
        stack.callback(crew.stop)
        if found := unseen(settings.node.families):
            log.warning("packets between pods on a bridge pass unseen", bridge=found.bridges, mend=found.mend)
        while crew.is_alive() and signal.sigtimedwait(SIGNALS, 1.0) is None:
            crew.make_rounds(time.monotonic())
        log.info("stopping")
    crew.raise_errors()
    return 0


def kinds_of(settings: AgentSettings) -> tuple[Kind, ...]:
    """The kinds that what runs depends on."""
    wanted = {*(FIREWALL_KINDS if settings.firewall else ()), *(PROXY_KINDS if settings.proxy else ())}
    return tuple(kind for kind in Kind if kind in wanted)


def _serve(settings: AgentSettings, metrics: Metrics, health: Health) -> TelemetryServers:
    """The servers of metrics and probes; NetpolError where a port stays taken.

    An agent that was just told to go may still have them: pods on the host's network share its ports.
    """
    deadline = time.monotonic() + PORTS_SECONDS
    while True:
        try:
            return TelemetryServers(metrics, health, settings.metrics, settings.metrics_path, settings.health)
        except UsageError:
            raise
        except NetpolError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _require_node(settings: AgentSettings, known: Snapshot | None) -> None:
    """UsageError where a source that is known from its start on has nodes, and this is none of them."""
    if known is not None and (warning := require_node(known, settings.node.name)):
        log.warning(warning)
