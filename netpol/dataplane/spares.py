"""Programs that were started before they are needed: a start and its libraries take longer than a small text."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Self

from netpol.dataplane.line_reader import LineReader


class Spares:
    """At most one of each program, by its arguments, waiting for its input; for any number of threads.

    A spare is in the network namespace of the thread that had it started. It ends when its
    input does, and so at the latest with this process, however that ends.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, ...], LineReader] = {}
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self, arguments: Sequence[str]) -> LineReader | None:
        """The program that waits, which is the caller's now; None where none does."""
        with self._lock:
            spare = self._waiting.pop(tuple(arguments), None)
        if spare is not None and not spare.is_running():
            spare.end()
            return None
        return spare

    def put(self, arguments: Sequence[str], timeout_seconds: float) -> None:
        """The program waits, unless one does already. KernelRefusal where it cannot be started."""
        with self._lock:
            if not self._is_closed and tuple(arguments) not in self._waiting:
                self._waiting[tuple(arguments)] = LineReader(arguments, timeout_seconds)

    def close(self) -> None:
        """None waits, and none will."""
        with self._lock:
            self._is_closed = True
            for spare in self._waiting.values():
                spare.end()
            self._waiting.clear()
