"""Noticing when others change what is ours at the moment they do, not at the next comparison."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from netpol.errors import KernelRefusal
from netpol.telemetry.logs import Log

WATCH_SECONDS = 3600.0

log = Log("agent")


class Changes(Protocol):
    """What is used of `dataplane.foreign.ForeignChanges`."""

    def wait(self, timeout_seconds: float) -> str | None:
        """What was changed first, in words; None where nothing was in that time, or after `stop`."""

    def stop(self) -> None:
        """Whoever waits, or will wait, is let go."""


@contextmanager
def watching(
    open_changes: Callable[[], AbstractContextManager[Changes]], alarm: Callable[[], None], stop: threading.Event
) -> Iterator[None]:
    """Inside, `alarm` is called, by a thread of its own, when others change what is ours; `stop` is set at the end."""
    try:
        changes = open_changes()
    except KernelRefusal as refusal:
        log.warning("changes by others are found by comparing alone", reason=refusal)
        yield
        return
    with changes as opened:
        thread = threading.Thread(target=_watch, args=(opened, alarm, stop), name="foreign changes", daemon=True)
        thread.start()
        try:
            yield
        finally:
            # Also where nobody asked for an end: the thread is not to wait again.
            stop.set()
            opened.stop()
            thread.join()


def _watch(changes: Changes, alarm: Callable[[], None], stop: threading.Event) -> None:
    try:
        while not stop.is_set():
            if words := changes.wait(WATCH_SECONDS):
                log.info("somebody else changed the filter table", what=words)
                alarm()
    except KernelRefusal as refusal:
        log.warning("changes by others are found by comparing alone", reason=refusal)
    except Exception:
        log.exception("changes by others are found by comparing alone")
