"""What the interpreter is told once the agent has the first state of the cluster behind it."""

from __future__ import annotations

import gc
import sys
import threading

GARBAGE_THRESHOLDS = (50_000, 20, 100)
"""Collections are rare: one that walks 10,000 pods holds up an event for tens of milliseconds."""

STARTING_TURN_SECONDS, TURN_SECONDS = 0.02, 0.005
"""How long a thread keeps the interpreter while others want it: at the start the watchers only hinder each other."""


def start() -> None:
    """Much is made, and little of it is thrown away."""
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    sys.setswitchinterval(STARTING_TURN_SECONDS)


def settle() -> None:
    """What the first list left is kept for good: no collection walks it again. From here on threads wait for few."""
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(TURN_SECONDS)


class Settling:
    """Calls `settle` when the last of so many controllers has programmed the kernel for the first time."""

    def __init__(self, controllers: int) -> None:
        self._awaited = controllers
        self._lock = threading.Lock()

    def one(self) -> None:
        """One more controller has programmed the kernel."""
        with self._lock:
            self._awaited -= 1
            if self._awaited:
                return
        settle()
