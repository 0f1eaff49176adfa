"""Noticing what changes beside a control thread's own work at the moment it does, not at the next comparison."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, Protocol, TypeVar

from netpol.errors import KernelRefusal
from netpol.source.kube.backoff import Backoff
from netpol.telemetry.logs import Log

WATCH_SECONDS = 3600.0
FIRST_SECONDS, MOST_SECONDS = 0.5, 60.0
"""The pause before what failed is opened again, at first and at most."""
UNTOLD: str | None = "perhaps something, while nobody told of it"
"""Said in place of what was missed."""

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
    missed: Heard,
    stop: threading.Event,
) -> Iterator[None]:
    """Inside, `alarm` is called, by a thread of its own, with each change of `what`; `stop` is set at the end.

    Where the kernel does not tell of them, the next comparison finds them, and it is asked again after growing pauses.
    Once it tells again, `alarm` is called with `missed`: what happened meanwhile is to be looked for.
    """
    watch = _Watch(what, open_changes, alarm, missed, stop)
    # Before anything happens inside, so that nothing of it is missed.
    opened = watch.open()
    thread = threading.Thread(target=watch.follow, args=(opened,), name=what, daemon=True)
    thread.start()
    try:
        yield
    finally:
        # Also where nobody asked for an end: the thread is not to wait again.
        stop.set()
        watch.let_go()
        thread.join()


class _Watch(Generic[Heard]):
    """One after the other of what tells of changes, each until it fails."""

    def __init__(
        self,
        what: str,
        open_changes: Callable[[], AbstractContextManager[Changes[Heard]]],
        alarm: Callable[[Heard], None],
        missed: Heard,
        stop: threading.Event,
    ) -> None:
        self._what = what
        self._open_changes = open_changes
        self._alarm = alarm
        self._missed = missed
        self._stop = stop
        self._backoff = Backoff(random.random, FIRST_SECONDS, MOST_SECONDS)
        self._lock = threading.Lock()
        self._changes: Changes[Heard] | None = None

    def open(self) -> AbstractContextManager[Changes[Heard]] | None:
        """What tells of changes; None where that is refused."""
        with self._going_on():
            return self._open_changes()
        return None

    def follow(self, opened: AbstractContextManager[Changes[Heard]] | None) -> None:
        """Every change was heard until the end, save what happened while nothing told of it."""
        first: Heard | None = None
        while True:
            if opened is not None:
                with self._going_on():
                    self._listen(opened, first)
            if self._stop.wait(self._backoff.seconds()):
                return
            opened, first = self.open(), self._missed

    def let_go(self) -> None:
        """Nobody waits for changes any more; to be called once `stop` is set."""
        with self._lock:
            if self._changes is not None:
                self._changes.stop()

    def _listen(self, opened: AbstractContextManager[Changes[Heard]], first: Heard | None) -> None:
        with opened as changes, self._shown(changes):
            if first is not None:
                log.info(f"{self._what} are told again")
                self._alarm(first)
            while not self._stop.is_set():
                news = changes.wait(WATCH_SECONDS)
                self._backoff.reset()
                if news:
                    self._alarm(news)

    @contextmanager
    def _shown(self, changes: Changes[Heard]) -> Iterator[None]:
        """Inside, whoever waits for these changes can be let go; not after they are closed."""
        with self._lock:
            self._changes = changes
        try:
            yield
        finally:
            with self._lock:
                self._changes = None

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """What fails inside is said, and no reason to end."""
        try:
            yield
        except KernelRefusal as refusal:
            log.warning(self._alone, reason=refusal)
        except Exception:
            log.exception(self._alone)

    @property
    def _alone(self) -> str:
        return f"{self._what} are found by comparing alone"
