"""Waking a thread: many may pull, one waits."""

from __future__ import annotations

import threading


class Trigger:
    """A wish to be woken that is kept until somebody waits for it; pulls before a wait count as one."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def pull(self) -> None:
        """The next wait, or the one under way, returns at once."""
        self._event.set()

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """True once pulled, False where the time ran out first; a pull is used up by it."""
        pulled = self._event.wait(timeout_seconds)
        self._event.clear()
        return pulled
