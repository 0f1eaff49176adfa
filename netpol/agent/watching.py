"""Noticing what changes beside a control thread's own work at the moment it does, not at the next comparison."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar

from netpol.errors import KernelRefusal
from netpol.telemetry.logs import Log

WATCH_SECONDS = 3600.0

News_co = TypeVar("News_co", covariant=True)
Heard = TypeVar("Heard")

log = Log("agent")


class Changes(Protocol[News_co]):
    """What tells of changes."""

    def wait(self, timeout_seconds: float) -> News_co:
        """What was changed; something false where nothing was in that time, or after `stop`."""

    def stop(self) -> None:
        """Whoever waits, or will wait, is let go."""


@contextmanager
def watching(
    what: str,
    open_changes: Callable[[], AbstractContextManager[Changes[Heard]]],
    alarm: Callable[[Heard], None],
    stop: threading.Event,
) -> Iterator[None]:
    """Inside, `alarm` is called, by a thread of its own, with each change of `what`; `stop` is set at the end.

    Where the kernel does not tell of them, the next comparison finds them.
    """
    try:
        changes = open_changes()
    except KernelRefusal as refusal:
        log.warning(_alone(what), reason=refusal)
        yield
        return
    with changes as opened:
        thread = threading.Thread(target=_watch, args=(what, opened, alarm, stop), name=what, daemon=True)
        thread.start()
        try:
            yield
        finally:
            # Also where nobody asked for an end: the thread is not to wait again.
            stop.set()
            opened.stop()
            thread.join()


def _watch(what: str, changes: Changes[Heard], alarm: Callable[[Heard], None], stop: threading.Event) -> None:
    try:
        while not stop.is_set():
            if news := changes.wait(WATCH_SECONDS):
                alarm(news)
    except KernelRefusal as refusal:
        log.warning(_alone(what), reason=refusal)
    except Exception:
        log.exception(_alone(what))


def _alone(what: str) -> str:
    return f"{what} are found by comparing alone"
