"""The policy controller: takes facts from the bus, and keeps this node's kernel equal to what they ask for."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from netpol.bus import Subscription
from netpol.compiler.engine import Engine, Touched
from netpol.compiler.names import PodChainKind, cut_set, parse_pod_chain, unknown_set
from netpol.compiler.ruleset import Ruleset
from netpol.control.batches import Batch, batches, one_batch
from netpol.control.changelog import tell
from netpol.control.cutter import Cutter
from netpol.control.pending import PendingFacts
from netpol.control.tightening import passed_on, shuts_out_ranges, tightened
from netpol.dataplane.keeper import Keeper
from netpol.dataplane.steps import Step
from netpol.errors import KernelRefusal
from netpol.listing import listed
from netpol.model.facts import Kind
from netpol.model.networks import Address
from netpol.model.policies import Direction
from netpol.schedule import Schedule, Survey
from netpol.telemetry.health import Health
from netpol.telemetry.logs import Log
from netpol.telemetry.metrics import Metrics
from netpol.trigger import Trigger

KINDS = (Kind.NAMESPACE, Kind.POD, Kind.NODE, Kind.NETWORK_POLICY)
PART = "control"
LONGEST_WAIT_SECONDS = 5.0
"""An idle controller wakes this often, to say that it is alive."""
SWEEP_SECONDS = 0.5
"""How long nothing must have changed until sets that nobody asks for are destroyed."""
SURVEY_SECONDS = 10.0
"""How often the sets are surveyed, for the kernel tells nobody of their changes: 30 ms where there are thousands."""
MOST_NAMES = 3

log = Log("control")


@dataclass(frozen=True, slots=True)
class Instruments:
    """How the controller tells of its work, and the clock it tells by."""

    metrics: Metrics
    health: Health
    clock: Callable[[], float]


class Firewall:
    """One thread's work: `run`, or `step` by `step`.

    Nothing is written before every kind was listed. What fails is tried again, from what the
    kernel holds by then; meanwhile the rules that are there stay in force, and facts go on
    being taken, so that the next attempt is for the newest state.
    """

    def __init__(
        self,
        subscription: Subscription,
        engine: Engine,
        keeper: Keeper,
        cutter: Cutter,
        schedule: Schedule,
        instruments: Instruments,
        pending: PendingFacts,
        on_first: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_first` is called once, when the kernel is programmed for the first time."""
        self._subscription = subscription
        self._engine = engine
        self._keeper = keeper
        self._cutter = cutter
        self._schedule = schedule
        self._metrics, self._health, self._clock = instruments.metrics, instruments.health, instruments.clock
        self._pending = pending
        self._on_first = on_first
        self._has_programmed = False
        self._alarmed = threading.Event()
        self._is_sweeping = False
        self._surveying = Survey(SURVEY_SECONDS, self._clock())

    def run(self, trigger: Trigger, stop: threading.Event) -> None:
        """Work until `stop` is set and the trigger pulled; a batch that was begun is finished."""
        self._health.expect(PART)
        while not stop.is_set():
            is_awaited = trigger.wait(self._pause_seconds())
            self._health.beat(PART)
            self.step()
            self._is_sweeping = not is_awaited and self._sweep()
        self._health.dismiss(PART)

    def alarm(self) -> None:
        """Somebody else has changed what is ours: compare soon. From any thread; the caller pulls the trigger."""
        self._metrics.foreign_changes.inc()
        self._alarmed.set()

    def step(self) -> None:
        """Take what has changed and bring it to the kernel; compare the whole where that is due."""
        # Asked first: a kind that is listed after the facts were taken is not among them.
        in_sync = self._subscription.in_sync()
        facts = self._subscription.take()
        self._metrics.facts.inc(len(facts))
        self._pending.take(facts)
        self._survey(has_facts=bool(facts))
        if self._alarmed.is_set():
            self._alarmed.clear()
            self._schedule.alarm(self._clock())
        if self._keeper.is_certain:
            follow = batches if self._subscription.taken_in_order else one_batch
            for batch in self._timed(follow(self._engine, facts)):
                # Once something was refused, the comparison to come is for all that follows too.
                if self._keeper.is_certain:
                    self._carry_out(batch)
                    self._health.beat(PART)
            if self._keeper.is_certain:
                self._pending.settle()
        else:
            self._engine.apply(facts)
        if in_sync and self._schedule.is_due(self._clock()):
            self._compare()
        elif self._keeper.is_certain and self._cutter.review_wait_seconds() == 0:
            self._review_cut()

    def _pause_seconds(self) -> float:
        if self._is_sweeping:
            return 0.0
        due = self._schedule.wait_seconds(self._clock()) if self._subscription.in_sync() else LONGEST_WAIT_SECONDS
        review = self._cutter.review_wait_seconds()
        longest = SWEEP_SECONDS if self._keeper.has_stale else LONGEST_WAIT_SECONDS
        return min(due, longest if review is None else review)

    def _timed(self, compiled: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches; how long each took to be worked out is measured."""
        while True:
            began = self._clock()
            batch = next(compiled, None)
            if batch is None:
                return
            self._metrics.compile_seconds.observe(self._clock() - began)
            yield batch

    def _survey(self, *, has_facts: bool) -> None:
        """Where there was time for it, it is known whether others have changed sets of ours."""
        now = self._clock()
        if has_facts:
            self._surveying.heard(now)
        # Where a comparison is due all is read in a moment.
        if self._surveying.wait_seconds(now) or self._schedule.is_due(now):
            return
        began = time.thread_time()
        try:
            estranged = self._keeper.estranged()
        except KernelRefusal as refusal:
            self._refused(refusal)
            return
        finally:
            self._surveying.looked(self._clock(), time.thread_time() - began)
        if estranged:
            log.info("somebody else changed sets", what=listed(sorted(estranged), MOST_NAMES))
            self.alarm()

    def _carry_out(self, batch: Batch) -> None:
        began = self._clock()
        try:
            outcome = self._keeper.change(batch.part, batch.touched)
            self._metrics.event_to_kernel_seconds.observe(self._clock() - self._subscription.taken_since)
            cut = self._cut(self._suspects(batch, outcome.steps))
        except KernelRefusal as refusal:
            self._refused(refusal)
            return
        seconds = self._clock() - began
        self._metrics.batches.inc()
        self._metrics.sync_seconds.observe(seconds)
        self._metrics.last_success_timestamp_seconds.set_to_current_time()
        tell(log, batch.facts, replace(outcome, flows_cut=cut), seconds)

    def _suspects(self, batch: Batch, steps: Iterable[Step]) -> Collection[Address] | None:
        """The addresses at an end of every connection that the batch may deny; None for all there are."""
        if shuts_out_ranges(steps):
            return None
        rejudged = self._engine.pod_addresses if batch.touched.rejudged else ()
        return tightened(steps).union(rejudged, passed_on(batch.facts, self._engine.node))

    def _compare(self) -> None:
        """The kernel holds the whole ruleset, whatever anybody did to it, and what it denies has ended."""
        was_certain, began = self._keeper.is_certain, self._clock()
        self._metrics.resyncs.inc()
        if self._schedule.failures:
            self._metrics.retries.inc()
        try:
            ruleset = self._engine.ruleset()
            outcome = self._keeper.converge(ruleset)
            cut = self._cut(None) if outcome.steps or not was_certain else 0
        except KernelRefusal as refusal:
            self._refused(refusal)
            return
        now = self._clock()
        self._surveying.looked(now)
        self._schedule.succeeded(now)
        done, seconds = replace(outcome, flows_cut=cut), self._clock() - began
        if not was_certain:
            log.info("kernel programmed", done=done, seconds=seconds)
        elif outcome.steps:
            self._metrics.drift_repaired.inc(len(outcome.steps))
            log.warning("somebody else had changed what is ours in the kernel", mended=done, seconds=seconds)
        if not self._has_programmed:
            self._has_programmed = True
            self._on_first()
            self._health.programmed(PART)
        self._health.recover(PART)
        self._metrics.in_sync.set(1)
        self._metrics.last_success_timestamp_seconds.set_to_current_time()
        self._measure(ruleset)
        # Last, for whoever is told has as much to do with the first facts, and takes the interpreter for it.
        self._pending.settle()

    def _measure(self, ruleset: Ruleset) -> None:
        """The gauges say how large the ruleset is."""
        tables = ruleset.tables.values()
        self._metrics.ruleset_sets.set(len(ruleset.sets))
        self._metrics.ruleset_members.set(sum(len(each.members) for each in ruleset.sets.values()))
        self._metrics.ruleset_chains.set(sum(len(table.chains) for table in tables))
        self._metrics.ruleset_rules.set(sum(len(rules) for table in tables for rules in table.chains.values()))
        chains = map(parse_pod_chain, {name for table in tables for name in table.chains})
        refusing = Counter(each.direction for each in chains if each and each.kind is PodChainKind.REFUSING)
        for direction in Direction:
            self._metrics.pods_isolated.labels(direction.value).set(refusing[direction])

    def _sweep(self) -> bool:
        """True where a set was destroyed that nothing asks for: there may be more."""
        try:
            return self._keeper.sweep()
        except KernelRefusal as refusal:
            self._refused(refusal)
            return False

    def _review_cut(self) -> None:
        """Who answered flows that were cut, and may again, is remembered no more."""
        try:
            self._cut(())
        except KernelRefusal as refusal:
            self._refused(refusal)

    def _cut(self, touching: Collection[Address] | None) -> int:
        """How many connections were cut; of those that touch these addresses, None being all."""
        if touching is not None and not touching and not self._cutter.remembers():
            return 0
        names = {name(family) for family in self._engine.families for name in (cut_set, unknown_set)}
        sets = self._engine.part(Touched(sets=frozenset(names))).sets
        cut = self._cutter.cut(self._engine.snapshot, self._engine.oracle(), sets, touching)
        self._metrics.flows_cut.inc(cut)
        return cut

    def _refused(self, refusal: KernelRefusal) -> None:
        self._keeper.doubt()
        pause = self._schedule.failed(self._clock())
        self._metrics.sync_failures.labels("kernel").inc()
        self._metrics.in_sync.set(0)
        self._health.fail(PART, str(refusal))
        log.error("the kernel could not be programmed", reason=refusal, attempt=self._schedule.failures, retry_s=pause)
