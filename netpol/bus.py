"""The bus between sources, which record facts, and controllers, which take what has changed.

Recording never waits for a controller. A fact that says what is known already changes
nothing, so a relist after a lost watch wakes nobody.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Mapping

from netpol.model.facts import Fact, Key, Kind
from netpol.model.snapshot import ObjectName
from netpol.trigger import Trigger

MOST_PENDING = 10_000
"""How many facts a subscription keeps in their order; a controller that is further behind gets the latest of each."""


class Subscription:
    """The facts of some kinds that a controller has not taken yet, in the order they were recorded."""

    def __init__(self, bus: Bus, kinds: frozenset[Kind], trigger: Trigger) -> None:
        self.kinds = kinds
        self._bus = bus
        self._trigger = trigger
        self._pending: list[Fact] = []
        self._most = MOST_PENDING
        self._waiting_since = 0.0
        self.taken_since = 0.0
        """When the oldest fact of the last `take` was recorded, by the monotonic clock."""
        self._in_order = True
        self.taken_in_order = True
        """False where the facts of the last `take` have none: it was far behind, or they came all at once."""

    def in_sync(self) -> bool:
        """True once every kind was listed completely; what `take` then returns completes that list."""
        return self._bus.in_sync(self.kinds)

    def missing(self) -> frozenset[Kind]:
        """The kinds that were not listed completely yet."""
        return frozenset(kind for kind in self.kinds if not self._bus.in_sync((kind,)))

    def take(self) -> tuple[Fact, ...]:
        """The facts since the last call, which are the taker's now."""
        return self._bus.take(self)

    def put(self, facts: Iterable[Fact]) -> None:
        """Keep these facts for the next `take`; called by the bus, under its lock."""
        if not self._pending:
            self._waiting_since = time.monotonic()
        self._pending += facts
        if len(self._pending) > self._most:
            self._pending = list({fact.key: fact for fact in self._pending}.values())
            # With so many objects, folding again at each fact would cost more than what it saves.
            self._most = max(MOST_PENDING, 2 * len(self._pending))
            self.lose_order()
        self._trigger.pull()

    def lose_order(self) -> None:
        """What is kept has no order any more; called by the bus, under its lock."""
        self._in_order = False

    def empty(self) -> list[Fact]:
        """What was kept; called by the bus, under its lock."""
        pending, self._pending = self._pending, []
        self._most = MOST_PENDING
        self.taken_since = self._waiting_since
        self.taken_in_order, self._in_order = self._in_order, True
        return pending


class Bus:
    """The latest value of every object, and who has yet to hear of it; for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[Kind, dict[ObjectName, object]] = {kind: {} for kind in Kind}
        self._in_sync: set[Kind] = set()
        self._subscriptions: list[Subscription] = []

    def subscribe(self, kinds: Collection[Kind], trigger: Trigger) -> Subscription:
        """A subscription to these kinds that starts with all that is known; `trigger` is pulled at every fact."""
        subscription = Subscription(self, frozenset(kinds), trigger)
        with self._lock:
            for kind in subscription.kinds:
                subscription.put(Fact(Key(kind, *name), value) for name, value in self._values[kind].items())
            self._subscriptions.append(subscription)
        return subscription

    def record(self, fact: Fact) -> bool:
        """Keep what one object is now; False where that was known."""
        with self._lock:
            return bool(self._record((fact,)))

    def replace(self, kind: Kind, objects: Mapping[ObjectName, object]) -> int:
        """Keep a complete list: what is not in it is gone, and the kind is in sync. Returns how many changed."""
        return self.replace_all({kind: objects})

    def replace_all(self, world: Mapping[Kind, Mapping[ObjectName, object]]) -> int:
        """Keep complete lists of several kinds at once: whoever takes the facts of one takes those of all.

        They changed at the same time, as far as is known: in no order. Returns how many changed.
        """
        with self._lock:
            changed = sum(self._replace(kind, objects) for kind, objects in world.items())
            if changed > 1:
                for subscription in self._subscriptions:
                    subscription.lose_order()
            return changed

    def in_sync(self, kinds: Collection[Kind]) -> bool:
        """True once every one of these kinds was listed completely."""
        with self._lock:
            return self._in_sync.issuperset(kinds)

    def count(self, kind: Kind) -> int:
        """How many objects of the kind are known."""
        with self._lock:
            return len(self._values[kind])

    def take(self, subscription: Subscription) -> tuple[Fact, ...]:
        """What the subscription has kept; it keeps nothing then."""
        with self._lock:
            return tuple(subscription.empty())

    def _replace(self, kind: Kind, objects: Mapping[ObjectName, object]) -> int:
        gone = [Fact(Key(kind, *name), None) for name in self._values[kind] if name not in objects]
        changed = self._record(gone) + self._record(Fact(Key(kind, *name), each) for name, each in objects.items())
        if kind not in self._in_sync:
            self._in_sync.add(kind)
            for subscription in self._listening(kind):
                subscription.put(())
        return changed

    def _record(self, facts: Iterable[Fact]) -> int:
        news: dict[Kind, list[Fact]] = {}
        for fact in facts:
            values, name = self._values[fact.key.kind], fact.key.object_name
            if values.get(name) == fact.value:
                continue
            if fact.value is None:
                del values[name]
            else:
                values[name] = fact.value
            news.setdefault(fact.key.kind, []).append(fact)
        for kind, changed in news.items():
            for subscription in self._listening(kind):
                subscription.put(changed)
        return sum(map(len, news.values()))

    def _listening(self, kind: Kind) -> list[Subscription]:
        return [subscription for subscription in self._subscriptions if kind in subscription.kinds]
