"""The composition root of the live agent: makes everything once, starts it, and stops it in order.

source threads -> bus -> control thread -> kernel -> audit thread -> outlets' threads
                         ^ alarms of whoever else writes there
the main thread waits for a signal, or for the control thread's end
"""

from __future__ import annotations

import gc
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Protocol

from netpol.audit.clock import wall_clock
from netpol.audit.recording import recording
from netpol.bus import Bus
from netpol.compiler.engine import Engine
from netpol.compiler.gates import pod_cidrs
from netpol.control.cutter import Cutter
from netpol.control.firewall import KINDS, Firewall, Instruments
from netpol.control.pending import PendingFacts
from netpol.control.review import Review
from netpol.dataplane.apply import Kernel
from netpol.dataplane.bridges import unseen
from netpol.dataplane.clearing import clear
from netpol.dataplane.conntrack import NetlinkFlows
from netpol.dataplane.foreign import ForeignChanges
from netpol.dataplane.ipset import NetlinkSets
from netpol.dataplane.iptables import IptablesTables
from netpol.dataplane.keeper import Keeper
from netpol.dataplane.opening import other_tables
from netpol.dataplane.spares import Spares
from netpol.dataplane.tool import TIMEOUT_SECONDS
from netpol.dataplane.variant import detect
from netpol.errors import KernelRefusal, NetpolError, UsageError
from netpol.listing import listed
from netpol.model.networks import Family, family_of
from netpol.model.objects import Node
from netpol.model.snapshot import Snapshot
from netpol.schedule import Schedule
from netpol.settings import AgentSettings, ApiSource, DirectorySource, NodeOptions, Variant
from netpol.source.directory import DirectoryWatcher
from netpol.source.kube.anchor import Anchor
from netpol.source.kube.cluster import ClusterSource
from netpol.source.kube.connection import connect
from netpol.source.kube.failures import ApiFailure
from netpol.source.kube.resources import resources
from netpol.source.presence import require_node
from netpol.telemetry.events import EventWriter
from netpol.telemetry.health import Health
from netpol.telemetry.http import TelemetryServers
from netpol.telemetry.logs import Log, configure
from netpol.telemetry.metrics import Metrics
from netpol.telemetry.notices import NoticeBoard
from netpol.trigger import Trigger

STUCK_SECONDS = 3 * TIMEOUT_SECONDS
"""Longer than a write, its undoing and the reads around them may take where each tool hangs until it is killed."""
STOP_SECONDS = 90.0
PORTS_SECONDS = 5.0
WATCH_SECONDS = 3600.0
REVIEW_SECONDS = 30.0
SIGNALS = (signal.SIGTERM, signal.SIGINT)
GARBAGE_THRESHOLDS = (50_000, 20, 100)
"""Collections are rare: one that walks 10,000 pods holds up an event for tens of milliseconds."""

STARTING_TURN_SECONDS, TURN_SECONDS = 0.02, 0.005
"""How long a thread keeps the interpreter while others want it: at the start the watchers only hinder each other."""


log = Log("agent")


class Source(Protocol):
    """What follows the cluster from its start to its stop."""

    def start(self) -> Snapshot | None:
        """It is followed from here on; returns what it says, where that is known at once."""

    def stop(self) -> bool:
        """It is followed no more; False where that did not end in time."""


def run_agent(settings: AgentSettings) -> int:
    """0 after a signal that asked the agent to stop; the rules then stay in force, unless asked for otherwise.

    NetpolError where it cannot start, or where its control thread has died.
    """
    configure(settings.verbosity, sys.stderr)
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    sys.setswitchinterval(STARTING_TURN_SECONDS)
    # Every thread started from here on leaves the signals to this one.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    variant = settings.variant or detect()
    log.info("starting", node=settings.node.name, variant=variant, source=str(settings.source))
    metrics = Metrics()
    health = Health(time.monotonic, STUCK_SECONDS)
    bus = Bus()
    with ExitStack() as stack:
        stack.callback(_serve(settings, metrics, health).stop)
        source, notices = _source(settings, bus, metrics, health, stack)
        recorder = stack.enter_context(recording(settings.node, settings.audit, metrics))
        control = Control(settings, variant, bus, metrics, health, PendingFacts(recorder.follow, wall_clock))
        rounds = Rounds(settings, control, notices)
        stack.callback(source.stop)
        _require_node(settings, source.start())
        control.start()
        stack.callback(control.stop)
        if found := unseen(settings.node.families):
            log.warning("packets between pods on a bridge pass unseen", bridge=found.bridges, mend=found.mend)
        while control.is_alive() and signal.sigtimedwait(SIGNALS, 1.0) is None:
            rounds.make(time.monotonic())
        log.info("stopping")
    if control.error is not None:
        raise NetpolError(f"the control thread ended: {control.error!r}") from control.error
    return 0


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


class Rounds:
    """What the main thread looks after while it waits: lists that are late, and policies that mean nothing (M7)."""

    def __init__(self, settings: AgentSettings, control: Control, notices: NoticeBoard) -> None:
        self._control = control
        self._review = Review(settings.node.name, control.engine.snapshot, notices)
        self._node = settings.node
        self._late_at: float | None = time.monotonic() + settings.cache_sync_timeout_seconds
        self._review_at = 0.0

    def make(self, now: float) -> None:
        """Whatever is due at `now` was looked at."""
        missing = self._control.subscription.missing()
        if missing and self._late_at is not None and now >= self._late_at:
            self._late_at = None
            names = sorted(kind.value for kind in missing)
            log.warning("not everything is listed yet: the kernel is left as it is", missing=listed(names, len(names)))
        known = self._control.engine.snapshot
        if not missing and (known.pods or known.namespaces) and now >= self._review_at:
            if not self._review_at:
                _warn_of_unknown_ranges(known.nodes.get(self._node.name), self._node)
            self._review_at = now + REVIEW_SECONDS
            try:
                self._review.look()
            except Exception:
                # It is a courtesy to the authors of policies, and no reason for the agent to end.
                log.exception("policies could not be reviewed")


class Control:
    """The control thread: the only one that writes to the kernel."""

    def __init__(
        self,
        settings: AgentSettings,
        variant: Variant,
        bus: Bus,
        metrics: Metrics,
        health: Health,
        pending: PendingFacts,
    ) -> None:
        self.error: BaseException | None = None
        self._settings = settings
        self._variant = variant
        self._trigger = Trigger()
        self.subscription = bus.subscribe(KINDS, self._trigger)
        self._instruments = Instruments(metrics, health, time.monotonic)
        self.engine = Engine(settings.node)
        self._pending = pending
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        """The kernel is kept from here on."""
        self._thread.start()

    def is_alive(self) -> bool:
        """False once it has stopped, or died."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Nothing is written any more; what was begun is finished."""
        self._stop.set()
        self._trigger.pull()
        self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():
            log.error("the control thread does not end", seconds=STOP_SECONDS)

    def _run(self) -> None:
        try:
            self._keep()
        except BaseException as error:
            self.error = error
            log.exception("the control thread ended")

    def _keep(self) -> None:
        node = self._settings.node
        superseded = tuple(other_tables(self._variant).values())
        with NetlinkSets() as sets, NetlinkFlows() as flows, Spares() as spares:
            tables = IptablesTables(self._variant, spares=spares)
            kernel = Kernel(sets, tables, flows)
            firewall = Firewall(
                self.subscription,
                self.engine,
                Keeper(kernel, superseded),
                Cutter(kernel, node.name),
                Schedule(self._settings.sync_period_seconds, random.random),
                self._instruments,
                self._pending,
                _settle,
            )
            with self._watching(firewall, tables):
                firewall.run(self._trigger, self._stop)
            if self._settings.cleanup_on_exit:
                cleared = clear((kernel.tables, *superseded), kernel.sets, tuple(Family))
                log.info("cleaned up", done=cleared)
                for line in cleared.left:
                    log.warning("left", reason=line)

    @contextmanager
    def _watching(self, firewall: Firewall, own: IptablesTables) -> Iterator[None]:
        """Inside, whoever else changes our chains or hooks is noticed when it happens, not at the next comparison."""
        try:
            changes = ForeignChanges(self._variant, own)
        except KernelRefusal as refusal:
            log.warning("changes by others are found by comparing alone", reason=refusal)
            yield
            return
        with changes:
            thread = threading.Thread(target=self._watch, args=(changes, firewall), name="foreign changes", daemon=True)
            thread.start()
            try:
                yield
            finally:
                # Also where nobody asked for an end: the thread is not to wait again.
                self._stop.set()
                changes.stop()
                thread.join()

    def _watch(self, changes: ForeignChanges, firewall: Firewall) -> None:
        try:
            while not self._stop.is_set():
                if words := changes.wait(WATCH_SECONDS):
                    log.info("somebody else changed the filter table", what=words)
                    firewall.alarm()
                    self._trigger.pull()
        except KernelRefusal as refusal:
            log.warning("changes by others are found by comparing alone", reason=refusal)
        except Exception:
            log.exception("changes by others are found by comparing alone")


def _source(
    settings: AgentSettings, bus: Bus, metrics: Metrics, health: Health, stack: ExitStack
) -> tuple[Source, NoticeBoard]:
    match settings.source:
        case DirectorySource(path):
            notices = NoticeBoard(metrics)
            return DirectoryWatcher(path, settings.policies, bus, notices, metrics, health), notices
        case ApiSource() as api:
            connection = connect(api)
            events = EventWriter(
                _EventPoster(connection),
                settings.node.name,
                metrics.events,
                partial(datetime.now, UTC),
                time.monotonic,
                threading.Event(),
            )
            events.start()
            stack.callback(events.stop)
            notices = NoticeBoard(metrics, events)
            cluster = ClusterSource(
                resources(settings.policies, api.network_policy_api, synthesise_name_label=api.synthesise_name_label),
                connection,
                bus,
                notices,
                metrics,
                health,
                anchor=Anchor(connection, settings.node.name).require,
            )
            return cluster, notices


class Posting(Protocol):
    """What is used of the connection to write Events."""

    def post(self, path: str, body: Mapping[str, object]) -> object:
        """Create what the body says; ApiFailure where the answer is another."""


class _EventPoster:
    """The connection as the writer of Events wants it: an answer has a status, whichever it is."""

    def __init__(self, connection: Posting) -> None:
        self._connection = connection

    def post(self, path: str, body: Mapping[str, object]) -> int:
        try:
            self._connection.post(path, body)
        except ApiFailure as failure:
            if failure.status is None:
                raise
            return failure.status
        return HTTPStatus.CREATED


def _require_node(settings: AgentSettings, known: Snapshot | None) -> None:
    """UsageError where a source that is known from its start on has nodes, and this is none of them."""
    if known is not None and (warning := require_node(known, settings.node.name)):
        log.warning(warning)


def _settle() -> None:
    """What the first list left is kept for good: no collection walks it again. From here on threads wait for few."""
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(TURN_SECONDS)


def _warn_of_unknown_ranges(node: Node | None, options: NodeOptions) -> None:
    """Where the node's pod range is not known, a new pod is open until its policies are in force (G12)."""
    known = {family_of(cidr) for cidr in pod_cidrs(node, options)}
    for family in options.families:
        if family not in known and not options.fail_open:
            log.warning("the node's pod range is not known: --pod-cidr may say it", family=f"IPv{family.value}")
