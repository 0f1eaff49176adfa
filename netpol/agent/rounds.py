"""What the main thread looks after while it waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from netpol.bus import Subscription
from netpol.listing import listed
from netpol.telemetry.logs import Log

log = Log("agent")


class Round(Protocol):
    """Something that is looked after."""

    def make(self, now: float) -> None:
        """Whatever is due at `now` was looked at."""


class LateLists:
    """Says once which kinds are not listed at a time when they should be."""

    def __init__(self, subscriptions: Sequence[Subscription], late_at: float) -> None:
        self._subscriptions = tuple(subscriptions)
        self._late_at: float | None = late_at

    def make(self, now: float) -> None:
        """What is late at `now` was said."""
        if self._late_at is None or now < self._late_at:
            return
        if names := sorted({kind.value for each in self._subscriptions for kind in each.missing()}):
            self._late_at = None
            log.warning("not everything is listed yet: the kernel is left as it is", missing=listed(names, len(names)))
