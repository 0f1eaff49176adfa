"""Destinations that only keep the connections they have, and until when: pure, the time is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from proxy.model import HeldServer, ServerDestination, ServerKey

LOOK_SECONDS = 1.0
"""How often connections are counted, while something drains."""


class Draining:
    """Every destination that drains, with its deadline: `graceful_seconds` after it began."""

    def __init__(self, graceful_seconds: float) -> None:
        self._graceful_seconds = graceful_seconds
        self._deadlines: dict[ServerKey, dict[ServerDestination, float]] = {}
        self._looked = 0.0

    def __len__(self) -> int:
        return sum(map(len, self._deadlines.values()))

    @property
    def servers(self) -> frozenset[ServerKey]:
        """The servers that something drains of."""
        return frozenset(self._deadlines)

    def follow(self, keys: Iterable[ServerKey], draining: Iterable[ServerDestination], now: float) -> None:
        """Of these servers exactly these drain; those that did already keep their deadline."""
        if not self._deadlines:
            self._looked = now
        found: dict[ServerKey, dict[ServerDestination, float]] = {}
        for pair in draining:
            known = self._deadlines.get(pair.key, {})
            found.setdefault(pair.key, {})[pair] = known.get(pair, now + self._graceful_seconds)
        for key in keys:
            self._deadlines.pop(key, None)
        self._deadlines.update(found)

    def ended(self, held: Mapping[ServerKey, HeldServer], now: float) -> frozenset[ServerDestination]:
        """Those whose connections have ended, or whose time is over, or whose server is gone.

        `held` are the `servers` that there are, as read a moment ago.
        """
        self._looked = now
        return frozenset(
            pair
            for key, deadlines in self._deadlines.items()
            for pair, deadline in deadlines.items()
            if now >= deadline or key not in held or _has_ended(pair, held[key])
        )

    def next_look(self, now: float) -> float | None:
        """How many seconds until connections are to be counted again; None where nothing drains."""
        if not self._deadlines:
            return None
        first = min(min(each.values()) for each in self._deadlines.values())
        return max(0.0, min(self._looked + LOOK_SECONDS, first) - now)


def _has_ended(pair: ServerDestination, server: HeldServer) -> bool:
    """True where it has no connections, and gets none: a count while it did says nothing."""
    found = server.destinations.get(pair.destination)
    return found is not None and found.is_draining and not found.connections
