"""What stood under a key at a moment of the last minutes.

What stands there now is kept by somebody else; a timeline has only what it replaced, and
so costs what has changed, and not the cluster.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

from cachetools import TTLCache

from netpol.model.moments import SECOND, Moment

NAMED_FOR: Moment = 600 * SECOND
"""For how long the pod that had an address, or a chain, is named after it is gone."""
LATENESS: Moment = 60 * SECOND
"""How much later than its packet a verdict may be judged."""
MOST_KEYS = 20_000
"""How many keys a timeline has former values of; those that changed first are forgotten before the others."""
MOST_FORMER = 100
"""How many former values of one key are kept."""

Name = TypeVar("Name")
Value = TypeVar("Value")


class Memory:
    """What time it is for some timelines, and since when they remember everything."""

    def __init__(self, began: Moment) -> None:
        self._now = self._complete_since = began

    @property
    def now(self) -> Moment:
        """The latest moment that anything was told of."""
        return self._now

    @property
    def since(self) -> Moment:
        """The moment from which on nothing is forgotten."""
        return max(self._complete_since, self._now - NAMED_FOR - LATENESS)

    def advance(self, now: Moment) -> None:
        """It is this moment, which is not before the last."""
        self._now = now

    def forget(self, until: Moment) -> None:
        """Something of before this moment is not remembered."""
        self._complete_since = max(self._complete_since, until)


class Former(NamedTuple, Generic[Value]):
    """What stood under a key until this moment; None for nothing."""

    value: Value | None
    until: Moment


Formers = tuple[Former[Value], ...]


class _Past(TTLCache[Name, Formers[Value]]):
    """Former values by key, oldest first; where there is no room for more, the memory knows what is missing."""

    def __init__(self, memory: Memory) -> None:
        super().__init__(MOST_KEYS, NAMED_FOR + LATENESS, timer=lambda: memory.now)
        self._memory = memory

    def popitem(self) -> tuple[Name, Formers[Value]]:
        name, formers = super().popitem()
        self._memory.forget(formers[-1].until)
        return name, formers


class Timeline(Generic[Name, Value]):
    """The values that `current` has, and those it had."""

    def __init__(self, current: Mapping[Name, Value], memory: Memory) -> None:
        self.current = current
        self._memory = memory
        self._past: _Past[Name, Value] = _Past(memory)

    def replaced(self, name: Name, value: Value | None) -> None:
        """What `current` has under this name it has since now; it was this before."""
        now = self._memory.now
        if now <= self._memory.since:
            return
        formers = self._formers(name)
        formers = (*formers[bisect_right(formers, self._memory.since, key=_until) :], Former(value, now))
        if len(formers) > MOST_FORMER:
            self._memory.forget(formers[0].until)
            formers = formers[1:]
        self._past[name] = formers

    def at(self, name: Name, moment: Moment) -> Value | None:
        """What stood there at the moment."""
        formers = self._formers(name)
        following = bisect_right(formers, moment, key=_until)
        return formers[following].value if following < len(formers) else self.current.get(name)

    def last(self, name: Name, moment: Moment) -> Former[Value] | None:
        """The last that stood there and did not any more at the moment; None where nothing is remembered."""
        formers = self._formers(name)
        passed = formers[: bisect_right(formers, moment, key=_until)]
        return next((former for former in reversed(passed) if former.value is not None), None)

    def names(self) -> set[Name]:
        """Every name under which anything stands, or stood at a moment that is remembered."""
        return {*self.current, *self._past}

    def _formers(self, name: Name) -> Formers[Value]:
        return self._past.get(name, ())


class TimelineAt(Mapping[Name, Value]):
    """What stood under every key at one moment, as a mapping."""

    def __init__(self, timeline: Timeline[Name, Value], moment: Moment) -> None:
        self._timeline = timeline
        self._moment = moment

    def __getitem__(self, name: Name) -> Value:
        value = self._timeline.at(name, self._moment)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[Name]:
        return (name for name in self._timeline.names() if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _until(former: Former[Value]) -> Moment:
    return former.until
