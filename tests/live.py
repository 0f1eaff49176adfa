"""The controller of one node without threads: facts go in, a kernel in memory changes, time is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from between import FAMILIES, kernel_of
from builders import address
from prometheus_client import CollectorRegistry

from netpol.bus import Bus
from netpol.compiler.compile import compile_ruleset
from netpol.compiler.engine import Engine
from netpol.control.cutter import Cutter
from netpol.control.firewall import KINDS, Firewall, Instruments
from netpol.control.pending import PendingFacts
from netpol.dataplane.apply import Kernel
from netpol.dataplane.keeper import Keeper
from netpol.dataplane.kernel import HookRule
from netpol.dataplane.memory import MemoryKernel
from netpol.dataplane.render import render_table
from netpol.model.facts import Fact, Key, Kind, lists
from netpol.model.networks import Address
from netpol.model.objects import Namespace, Node, Pod
from netpol.model.policies import Policy
from netpol.model.snapshot import Snapshot
from netpol.schedule import Schedule
from netpol.settings import NodeOptions
from netpol.telemetry.health import Health
from netpol.telemetry.metrics import Metrics
from netpol.trigger import Trigger

NODE = "n1"
OPTIONS = NodeOptions(NODE)
PERIOD_SECONDS = 30.0
OWN_ADDRESS = address("192.0.2.1")
Object = Namespace | Pod | Node | Policy


def key_of(thing: Object) -> Key:
    """Who the object is."""
    match thing:
        case Pod():
            return Key(Kind.POD, thing.namespace, thing.name)
        case Policy():
            return Key(Kind.NETWORK_POLICY, thing.namespace, thing.name)
        case Node():
            return Key(Kind.NODE, "", thing.name)
        case Namespace():
            return Key(Kind.NAMESPACE, "", thing.name)


def known(thing: Object) -> Fact:
    """The object is as it is here."""
    return Fact(key_of(thing), thing)


def gone(thing: Object) -> Fact:
    """There is no such object any more."""
    return Fact(key_of(thing), None)


def unfollowed() -> PendingFacts:
    """What the kernel holds is told to nobody."""
    return PendingFacts(lambda *_: None, lambda: 0)


def listing(snapshot: Snapshot) -> list[Fact]:
    """A fact for every object."""
    return [Fact(Key(kind, *name), each) for kind, objects in lists(snapshot).items() for name, each in objects.items()]


def after(snapshot: Snapshot, facts: Iterable[Fact]) -> Snapshot:
    """The cluster after all of these."""
    found = ({fact.key: fact.value for fact in listing(snapshot)} | {fact.key: fact.value for fact in facts}).values()
    return Snapshot.of(
        [each for each in found if isinstance(each, Namespace)],
        [each for each in found if isinstance(each, Pod)],
        [each for each in found if isinstance(each, Node)],
        [each for each in found if isinstance(each, Policy)],
    )


@dataclass(slots=True)
class Clock:
    """A clock that stands still unless it is told."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


class Turns(Trigger):
    """A trigger that is waited for so many times, pulled or not; then it is time to stop."""

    def __init__(self, clock: Clock, *pulled: bool) -> None:
        super().__init__()
        self.stop = threading.Event()
        self.waits: list[float] = []
        self._clock = clock
        self._pulled = list(pulled)

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """What was said of this wait; one that is not pulled takes all its time."""
        pulled = self._pulled.pop(0)
        self.waits.append(timeout_seconds or 0.0)
        self._clock.now += 0.0 if pulled else timeout_seconds or 0.0
        if not self._pulled:
            self.stop.set()
        return pulled


class Live:
    """A bus, a controller and a kernel in memory."""

    def __init__(
        self,
        options: NodeOptions = OPTIONS,
        memory: MemoryKernel | None = None,
        kernel: Kernel | None = None,
        read_addresses: Callable[[], frozenset[Address]] = lambda: frozenset({OWN_ADDRESS}),
    ) -> None:
        self.options = options
        self.memory = memory or MemoryKernel()
        self.kernel = kernel or kernel_of(self.memory)
        self.clock = Clock()
        self.metrics = Metrics(CollectorRegistry())
        self.health = Health(self.clock, stuck_after_seconds=60.0)
        self.bus = Bus()
        self.trigger = Trigger()
        self.engine = Engine(options)
        self.keeper = Keeper(self.kernel)
        self.schedule = Schedule(PERIOD_SECONDS, chance=lambda: 1.0)
        self.first_times = 0
        self.held: list[Fact] = []
        self.subscription = self.bus.subscribe(KINDS, self.trigger)
        self.firewall = Firewall(
            self.subscription,
            self.engine,
            self.keeper,
            Cutter(self.kernel, options.name, read_addresses, self.clock),
            self.schedule,
            Instruments(self.metrics, self.health, self.clock),
            PendingFacts(self._note_held, lambda: int(1_000_000 * self.clock())),
            self._note_first,
        )

    def started(self, snapshot: Snapshot) -> Live:
        """Itself, with all of this listed and the kernel programmed."""
        self.bus.replace_all(lists(snapshot))
        self.step()
        return self

    def record(self, *facts: Fact) -> None:
        """The source says this, one after the other."""
        for fact in facts:
            self.bus.record(fact)

    def step(self, after_seconds: float = 0.0) -> None:
        """One step of the controller, so much later."""
        self.clock.now += after_seconds
        self.firewall.step()

    def retry(self, most: int = 10) -> None:
        """Step whenever it is time to, until the kernel is known to hold what it should."""
        attempts = 0
        while not self.keeper.is_certain:
            assert attempts < most, f"it does not recover within {most} attempts"
            attempts += 1
            self.step(self.schedule.wait_seconds(self.clock.now) + 0.001)

    def run(self, *pulled: bool) -> list[float]:
        """The controller runs for so many waits, whose trigger is pulled or not; returns how long each may last."""
        turns = Turns(self.clock, *pulled)
        self.firewall.run(turns, turns.stop)
        return turns.waits

    def sweep(self) -> None:
        """What nothing asks for is gone."""
        while self.keeper.sweep():
            pass

    def holds(self, snapshot: Snapshot) -> bool:
        """True where the kernel is as the naive compile of the snapshot, but for sets that are left over."""
        ruleset, held = compile_ruleset(snapshot, self.options), self.kernel.read(FAMILIES)
        rendered = {family: render_table(table, family) for family, table in ruleset.tables.items()}
        return all(
            name in held.sets and (not each.is_ours_to_fill or held.sets[name] == each)
            for name, each in ruleset.sets.items()
        ) and all(
            held.tables[family].chains == table.chains
            and held.tables[family].hooks == {hook: (HookRule(1, text),) for hook, text in table.hooks.items()}
            for family, table in rendered.items()
        )

    def metric(self, name: str, **labels: str) -> float:
        """The value of one of the agent's metrics."""
        return self.metrics.registry.get_sample_value(f"netpol_{name}", labels) or 0.0

    @property
    def operations(self) -> list[str]:
        """What was done to the kernel so far."""
        return list(self.memory.journal.operations)

    def _note_first(self) -> None:
        self.first_times += 1

    def _note_held(self, facts: Sequence[Fact], _began: int, _ended: int) -> None:
        self.held += facts
