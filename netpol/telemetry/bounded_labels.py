"""Label values of which only so many are told apart, for metrics labelled by what a cluster has thousands of."""

from __future__ import annotations

import threading

OTHER = "(other)"
"""Stands for all the rest; no object of Kubernetes can have this name."""


class BoundedLabels:
    """The first so many combinations of values as they are, all later ones alike; for any number of threads.

    What is told apart once stays so: a series that ended would take its count with it.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[tuple[str, ...]] = set()
        self._lock = threading.Lock()

    def bounded(self, *values: str) -> tuple[str, ...]:
        """The values, or `OTHER` for each of them.

        >>> labels = BoundedLabels(1)
        >>> labels.bounded("web", "allow"), labels.bounded("db", "deny"), labels.bounded("web", "allow")
        (('web', 'allow'), ('(other)', '(other)'), ('web', 'allow'))
        """
        with self._lock:
            if values not in self._known:
                if len(self._known) >= self._most:
                    return (OTHER,) * len(values)
                self._known.add(values)
        return values
