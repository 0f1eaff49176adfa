"""The service controller: takes facts from the bus, and keeps this node's kernel equal to what services ask for."""

from __future__ import annotations

import enum
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from netpol.bus import Subscription
from netpol.errors import KernelRefusal
from netpol.listing import listed
from netpol.model.facts import Key, Kind
from netpol.model.snapshot import ObjectName
from netpol.schedule import Schedule, Survey
from netpol.telemetry.health import Health
from netpol.telemetry.logs import Log
from netpol.telemetry.notices import NoticeBoard
from netpol.trigger import Trigger
from proxy.healthcheck import HealthChecks
from proxy.kernel.node_addresses import LinkNews
from proxy.kernel.protocols import NodeAddresses
from proxy.metrics import ProxyMetrics
from proxy.model import ServerKey
from proxy.outcome import Outcome
from proxy.programming import Programming
from proxy.services.engine import ProxyEngine, Touched
from proxy.troubles import troubles

PART = "proxy"
LONGEST_WAIT_SECONDS = 5.0
"""An idle controller wakes this often, to say that it is alive."""
SURVEY_SECONDS = 1.0
"""How often the sets are surveyed, for the kernel tells nobody of their changes."""
MOST_NAMES = 3

log = Log("proxy")


@dataclass(frozen=True, slots=True)
class Instruments:
    """How the controller tells of its work, and the clock it tells by."""

    metrics: ProxyMetrics
    health: Health
    board: NoticeBoard
    clock: Callable[[], float]


class Schedules(NamedTuple):
    """When the kernel is compared: IPVS, the link and what stands beside, and sets and chains."""

    servers: Schedule
    rules: Schedule


class Extent(enum.Flag):
    """What is compared at its own times."""

    RULES = enum.auto()
    """Sets and chains."""
    SERVERS = enum.auto()
    """IPVS, the link, kernel settings, and tunnels."""
    EVERYTHING = RULES | SERVERS


@dataclass(slots=True)
class _Round:
    """A comparison of servers that is under way: what it had to do so far."""

    began: float
    was_refused: bool
    done: Outcome


_EXTENTS = Extent.SERVERS, Extent.RULES
"""What each of the schedules is about."""


class ServiceProxy:
    """One thread's work: `run`, or `step` by `step`.

    Nothing is written before every kind was listed. What fails is tried again, from what the kernel holds by then;
    meanwhile what is there goes on serving, and facts go on being taken.
    """

    def __init__(
        self,
        subscription: Subscription,
        engine: ProxyEngine,
        programming: Programming,
        node_addresses: NodeAddresses,
        schedules: Schedules,
        instruments: Instruments,
        health_checks: HealthChecks,
        on_first: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_first` is called once, when the kernel is programmed for the first time."""
        self._subscription = subscription
        self._engine = engine
        self._programming = programming
        self._node_addresses = node_addresses
        self._schedules = schedules
        self._metrics, self._health = instruments.metrics, instruments.health
        self._board, self._clock = instruments.board, instruments.clock
        self._health_checks = health_checks
        self._on_first = on_first
        self._has_programmed = False
        self._surveying = Survey(SURVEY_SECONDS, self._clock())
        self._alarms: deque[Extent] = deque()
        self._news: deque[LinkNews] = deque()
        self._round: _Round | None = None
        self._waiting = Touched()
        """What has changed, and is not known to be in the kernel."""
        self._missing: frozenset[str] = frozenset()
        """Schedulers that the kernel lacks."""
        self._services: dict[ServerKey, ObjectName] = {}
        self._troubled: frozenset[ObjectName] = frozenset()

    @property
    def services(self) -> Mapping[ServerKey, ObjectName]:
        """Whose each server is; for any thread."""
        return dict(self._services)

    def run(self, trigger: Trigger, stop: threading.Event) -> None:
        """Work until `stop` is set and the trigger pulled; what was begun is finished."""
        self._health.expect(PART)
        try:
            while not stop.is_set():
                trigger.wait(self._pause_seconds())
                self._health.beat(PART)
                self.step()
        finally:
            self._health_checks.stop()
        self._health.dismiss(PART)

    def alarm(self, extent: Extent) -> None:
        """Somebody else has changed this of ours: compare soon. From any thread; the caller pulls the trigger."""
        self._metrics.foreign_changes.inc()
        self._alarms.append(extent)

    def tell(self, news: LinkNews) -> None:
        """The node's addresses or the service link have changed. From any thread; the caller pulls the trigger."""
        self._news.append(news)

    def step(self) -> None:
        """Take what has changed and bring it to the kernel; compare the whole where that is due."""
        # Asked first: a kind that is listed after the facts were taken is not among them.
        in_sync = self._subscription.in_sync()
        facts = self._subscription.take()
        if facts:
            self._surveying.heard(self._clock())
        self._waiting |= self._engine.apply(facts)
        if in_sync:
            self._keep(has_facts=bool(facts))
        self._health_checks.retry()

    def _keep(self, *, has_facts: bool) -> None:
        try:
            self._survey()
            has_moved = self._listen()
            extent = self._due(self._clock())
            if extent or has_moved:
                self._waiting |= self._engine.set_node_addresses(self._node_addresses.read())
            if extent or self._waiting.services:
                self._waiting |= self._ask_for_schedulers(all_of_them=bool(extent))
            if self._programming.is_certain and self._waiting:
                self._change(has_facts=has_facts)
            if extent:
                self._compare(extent)
            if self._round is not None:
                self._go_on(self._round)
            if self._programming.is_certain and self._programming.next_look(self._clock()) == 0.0:
                self._look()
        except KernelRefusal as refusal:
            # Everything is compared soon, and what could not be read is read again for that.
            self._programming.doubt()
            self._round = None
            self._failed(str(refusal), self._schedules)

    def _pause_seconds(self) -> float:
        if self._round is not None:
            return 0.0
        now = self._clock()
        waits = [LONGEST_WAIT_SECONDS, self._programming.next_look(now), self._health_checks.retry_wait_seconds()]
        if self._subscription.in_sync():
            waits += [schedule.wait_seconds(now) for schedule in self._schedules]
        if self._programming.is_certain:
            waits.append(self._surveying.wait_seconds(now))
        return min(each for each in waits if each is not None)

    def _due(self, now: float) -> Extent:
        """What is to be compared: all of it, where it is not known what the kernel holds."""
        due = Extent(0)
        for schedule, extent in zip(self._schedules, _EXTENTS, strict=True):
            if schedule.is_due(now):
                due |= extent
        if self._round is not None:
            due &= ~Extent.SERVERS
        return Extent.EVERYTHING if due and not self._programming.is_certain else due

    # --- what is not told by facts

    def _listen(self) -> bool:
        """Comparisons are due soon of what others have changed; returns whether the node's addresses may be others."""
        has_moved = False
        while self._news:
            news = self._news.popleft()
            has_moved |= news.has_moved
            # What is wanted no more we took away ourselves.
            lost = news.unbound & self._engine.addresses
            if lost or news.is_link_down:
                what = listed(sorted(map(str, lost)), MOST_NAMES) or "it is not up"
                log.info("somebody else changed the service link", what=what)
                self.alarm(Extent.SERVERS)
        # What is under way may be past what the alarm is about.
        while self._alarms and self._round is None:
            alarmed, now = self._alarms.popleft(), self._clock()
            for schedule, extent in zip(self._schedules, _EXTENTS, strict=True):
                if extent in alarmed:
                    schedule.alarm(now)
        return has_moved

    def _survey(self) -> None:
        """Where there was time for it, it is known whether others have changed sets of ours."""
        now = self._clock()
        # Where a comparison is due all is read in a moment.
        if not self._programming.is_certain or self._surveying.wait_seconds(now) or self._schedules.rules.is_due(now):
            return
        began = time.thread_time()
        estranged = self._programming.estranged()
        self._surveying.looked(now, time.thread_time() - began)
        if estranged:
            log.info("somebody else changed sets", what=listed(sorted(estranged), MOST_NAMES))
            self.alarm(Extent.RULES)

    def _ask_for_schedulers(self, *, all_of_them: bool) -> Touched:
        """The engine knows which of the schedulers that services ask for there are not."""
        names = self._engine.served if all_of_them else self._waiting.services
        services = map(self._engine.service, names)
        asked = {each.scheduler for each in services if each is not None and each.scheduler}
        known = frozenset() if all_of_them else self._missing
        self._missing = known | {name for name in asked - known if not self._programming.offers(name)}
        return self._engine.set_unavailable(self._missing)

    # --- to the kernel

    def _change(self, *, has_facts: bool) -> None:
        began, refused, touched = self._clock(), dict(self._programming.refused), self._waiting
        done = self._programming.change(touched, began)
        if has_facts:
            self._metrics.event_to_kernel_seconds.observe(self._clock() - self._subscription.taken_since)
        names = listed(("/".join(name) for name in sorted(touched.services)), MOST_NAMES)
        log.info("services changed", names=names, done=done, ms=(self._clock() - began) * 1000)
        self._done(done, began)
        self._fail_for_more_than(refused)

    def _look(self) -> None:
        began, refused = self._clock(), dict(self._programming.refused)
        done = self._programming.look(began)
        if done.steps:
            log.info("endpoints have drained", done=done, left=self._programming.draining)
            self._done(done, began)
            self._fail_for_more_than(refused)
        self._metrics.draining.set(self._programming.draining)

    def _compare(self, extent: Extent) -> None:
        """The kernel holds all that services ask for, whatever anybody did to it; servers are gone on with by turns."""
        if not self._programming.is_certain:
            self._program()
            return
        if Extent.RULES in extent:
            began, was_refused = self._clock(), bool(self._programming.refused)
            self._compared(self._programming.compare_rules(began), began, was_refused=was_refused)
            self._rules_compared()
            if self._programming.refused:
                self._failed(self._reasons(), self._schedules[:1])
        if Extent.SERVERS in extent:
            began, was_refused = self._clock(), bool(self._programming.refused)
            self._round = _Round(began, was_refused, self._programming.set_out(began))

    def _go_on(self, under_way: _Round) -> None:
        """A few more servers are compared, where there are any left."""
        if self._programming.is_comparing:
            under_way.done += self._programming.go_on(self._clock())
        if not self._programming.is_comparing:
            self._round = None
            self._compared(under_way.done, under_way.began, was_refused=under_way.was_refused)
            self._servers_compared()

    def _compared(self, done: Outcome, began: float, *, was_refused: bool) -> None:
        """What had been changed by others was mended, which is told."""
        seconds = self._clock() - began
        self._metrics.compare_seconds.observe(seconds)
        if done.steps and not was_refused:
            self._metrics.drift_mended.inc(done.steps)
            log.warning("somebody else had changed what services need in the kernel", mended=done, seconds=seconds)
        self._done(done, began)

    def _rules_compared(self) -> None:
        now = self._clock()
        self._schedules.rules.succeeded(now)
        self._surveying.looked(now)

    def _servers_compared(self) -> None:
        if self._programming.refused:
            self._failed(self._reasons(), self._schedules[:1])
        else:
            self._schedules.servers.succeeded(self._clock())

    def _program(self) -> None:
        """The kernel holds all that services ask for, whatever it held."""
        began = self._clock()
        done = self._programming.converge(began)
        self._round = None
        seconds = self._clock() - began
        self._metrics.compare_seconds.observe(seconds)
        log.info("services programmed", done=done, seconds=seconds)
        self._done(done, began)
        self._rules_compared()
        self._servers_compared()
        if not self._has_programmed:
            self._has_programmed = True
            self._on_first()
            self._health.programmed(PART)

    def _done(self, done: Outcome, began: float) -> None:
        """Whoever is to know of it knows what the kernel holds."""
        metrics, programming = self._metrics, self._programming
        metrics.count(done)
        metrics.sync_seconds.observe(self._clock() - began)
        metrics.last_sync.set_to_current_time()
        metrics.servers.set(len(self._engine.servers) - len(programming.conflicts))
        metrics.draining.set(programming.draining)
        metrics.conflicts.set(len(programming.conflicts))
        metrics.refused.set(len(programming.refused))
        metrics.unreachable.set(len(programming.unreachable))
        if not programming.refused:
            metrics.in_sync.set(1)
            self._health.recover(PART)
        waiting, self._waiting = self._waiting, Touched()
        for key in waiting.servers - self._engine.servers.keys():
            self._services.pop(key, None)
        for name in waiting.services & self._engine.served.keys():
            self._services.update(dict.fromkeys(self._engine.served[name].servers, name))
        if waiting.health_checks:
            self._health_checks.follow(self._engine.health_checks)
        self._tell(waiting.services | waiting.noticed)

    def _tell(self, changed: Collection[ObjectName]) -> None:
        """Each service's notices are those that it has: of what it asks for, and of what came of that here."""
        found = troubles(self._programming, self._services, self._engine.served)
        for name in {*changed, *self._troubled, *found}:
            service = self._engine.service(name)
            notices = (*self._engine.notices.get(name, ()), *found.get(name, ()))
            uid = "" if service is None else service.uid
            self._board.put(
                Key(Kind.SERVICE, *name), uid, () if service is None else notices, reader=PART, words="not served"
            )
        self._troubled = frozenset(found)

    def _fail_for_more_than(self, refused: Mapping[ServerKey, str]) -> None:
        """Where the kernel has refused other servers than these, that is said, and tried again soon."""
        if self._programming.refused.items() - refused.items():
            self._failed(self._reasons(), self._schedules[:1])

    def _reasons(self) -> str:
        return listed(dict.fromkeys(self._programming.refused.values()), MOST_NAMES)

    def _failed(self, reason: str, schedules: Collection[Schedule]) -> None:
        now = self._clock()
        pause = max(schedule.failed(now) for schedule in schedules)
        self._metrics.failures.inc()
        self._metrics.in_sync.set(0)
        self._health.fail(PART, reason)
        attempt = self._schedules.servers.failures
        log.error("services could not be programmed", reason=reason, attempt=attempt, retry_s=pause)
