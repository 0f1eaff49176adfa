"""Facts on their way to whoever follows what the kernel holds, told once it holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from netpol.model.facts import Fact, Key
from netpol.model.moments import Moment

Follow = Callable[[Sequence[Fact], Moment, Moment], None]
"""Told facts, of several about one object the latest, which the kernel has held since a moment between the two."""


class PendingFacts:
    """Keeps facts from when they are taken until the kernel holds them, however many attempts that takes.

    The first may have been in the kernel since any moment before, by an earlier run.
    """

    def __init__(self, follow: Follow, now: Callable[[], Moment]) -> None:
        self._follow = follow
        self._now = now
        self._facts: dict[Key, Fact] = {}
        self._began: Moment = 0
        self._has_settled = False

    def take(self, facts: Iterable[Fact]) -> None:
        """The kernel is about to be brought to these facts."""
        if not self._facts and self._has_settled:
            self._began = self._now()
        self._facts.update((fact.key, fact) for fact in facts)

    def settle(self) -> None:
        """The kernel holds all that was taken."""
        if self._facts:
            facts, self._facts, self._has_settled = self._facts, {}, True
            self._follow(tuple(facts.values()), self._began, self._now())
