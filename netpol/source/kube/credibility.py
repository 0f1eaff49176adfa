"""Which lists are believed: an API server that restarted empty-handed, or is not ready, must open nothing."""

from __future__ import annotations

SETTLE_SECONDS = 10.0


class Credibility:
    """The judge of the lists of one kind.

    A list without any object is believed where none was known before. Otherwise it has to stay
    empty for `settle_seconds`; where the kind is `never_empty`, as a cluster's namespaces and
    nodes are, it is not believed at all.
    """

    def __init__(self, *, never_empty: bool, settle_seconds: float = SETTLE_SECONDS) -> None:
        self._never_empty = never_empty
        self._settle_seconds = settle_seconds
        self._empty_since: float | None = None

    def believes(self, listed: int, known: int, now: float) -> bool:
        """True where a complete list of `listed` objects may take the place of the `known` ones, at the time `now`."""
        if listed:
            self._empty_since = None
            return True
        if self._never_empty:
            return False
        if not known:
            return True
        if self._empty_since is None:
            self._empty_since = now
        return now - self._empty_since >= self._settle_seconds


def is_alarming(listed: int, known: int) -> bool:
    """True where a list leaves less than half of what was known.

    >>> is_alarming(4, 10), is_alarming(5, 10), is_alarming(0, 0)
    (True, False, False)
    """
    return listed * 2 < known
