"""Holding back Python's garbage collector while many objects come to stay."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_pauses = 0


@contextmanager
def collection_paused() -> Iterator[None]:
    """Inside, no thread's allocations start a collection: it would walk every object kept so far, and find nothing.

    Reference counting goes on, and a list's objects form no cycles.
    """
    global _pauses  # noqa: PLW0603  the collector is the process's own too
    with _lock:
        _pauses += 1
        gc.disable()
    try:
        yield
    finally:
        with _lock:
            _pauses -= 1
            if not _pauses:
                gc.enable()
