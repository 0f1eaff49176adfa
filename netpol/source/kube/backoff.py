"""How long to wait after a failure."""

from __future__ import annotations

import math
from collections.abc import Callable

FIRST_SECONDS = 0.2
MOST_SECONDS = 30.0


class Backoff:
    """Waits that double up to a cap, each cut short by chance, so that the nodes of a cluster do not return as one."""

    def __init__(
        self, chance: Callable[[], float], first_seconds: float = FIRST_SECONDS, most_seconds: float = MOST_SECONDS
    ) -> None:
        self._chance = chance
        self._first = first_seconds
        self._most = most_seconds
        self._next = first_seconds

    def seconds(self, asked: float = 0.0, most: float = math.inf) -> float:
        """How long to wait now; never less than `asked`, which the server wants, and never nothing.

        `most` takes the place of the cap where it is lower: a wait for something that is likely to come soon.
        `chance` gives numbers from 0 to 1; the wait is between half of its length and all of it.
        """
        wait = min(self._next, most) * (1 + self._chance()) / 2
        self._next = min(self._next * 2, self._most)
        return asked + wait if asked else wait

    def reset(self) -> None:
        """The next wait is the shortest again."""
        self._next = self._first
