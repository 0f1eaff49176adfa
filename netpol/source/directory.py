"""A directory of manifests as a live source: the bus has what it says, or the last of it that could be understood."""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from netpol.bus import Bus
from netpol.errors import InputError
from netpol.model.facts import FIREWALL_KINDS, Key, Kind, lists
from netpol.model.notices import Notice
from netpol.model.snapshot import Snapshot
from netpol.settings import PolicyOptions
from netpol.source.files import SUFFIXES
from netpol.source.manifests import Loaded, load
from netpol.telemetry.logs import Log
from netpol.telemetry.metrics import Metrics

PART = "source.directory"

log = Log(PART)

STOP_SECONDS = 2.0

_MOST_LOOKS = 20
_MOST_READINGS = 3
"""A directory that is never at rest is read as it is in the end, and again at the next look."""

_SHARE = 100
"""Of the time between two looks, one part in so many is spent looking at most."""

Signature = tuple[tuple[str, int, int, int, int], ...]
"""Name, inode, size, and times of the last change of each file; equal ones mean that nothing has changed."""


class Notices(Protocol):
    """What is used of the notice board."""

    def put(self, key: Key, uid: str, notices: tuple[Notice, ...]) -> None:
        """What is noticed of the object is this, and nothing else."""


class Faults(Protocol):
    """What is used of the agent's health."""

    def fail(self, part: str, reason: str) -> None:
        """The part cannot do its work."""

    def recover(self, part: str) -> None:
        """The part does its work again."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things last, in seconds: from look to look, until a change is over, until what failed is tried again.

    `settle` is longer than the clock of a file system stands still: what is written after
    two looks that agree has another time than what they saw.
    """

    period: float = 0.5
    settle: float = 0.1
    retry: float = 10.0


DEFAULT_PACE = Pace()


class DirectoryWatcher:
    """Follows the objects of some kinds in a directory of manifests, or one file, from `start` to `stop`."""

    def __init__(
        self,
        path: Path,
        options: PolicyOptions,
        bus: Bus,
        notices: Notices,
        metrics: Metrics,
        health: Faults,
        pace: Pace = DEFAULT_PACE,
        *,
        kinds: Collection[Kind] = FIREWALL_KINDS,
    ) -> None:
        self._path = path
        self._options = options
        self._bus = bus
        self._notices = notices
        self._metrics = metrics
        self._health = health
        self._pace = pace
        self._kinds = kinds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="watch manifests", daemon=True)
        self._pause = pace.period
        self._seen: Signature = ()
        self._retry_at = float("inf")
        self._problem = ""
        self._warnings: tuple[str, ...] = ()
        self._noticed: frozenset[Key] = frozenset()

    def start(self) -> Snapshot:
        """The bus has what the directory says, which is returned, and follows it; InputError where it says nothing.

        That is then a mistake of the person who starts the agent. Later, with rules in force, it is a bad moment.
        """
        loaded = self._read()
        self._take(loaded)
        self._thread.start()
        return loaded.snapshot

    def stop(self, within_seconds: float = STOP_SECONDS) -> bool:
        """Nothing is recorded any more; False where a reading did not end in time."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(within_seconds)
        return not self._thread.is_alive()

    def look(self) -> None:
        """The bus has what the directory says now; what cannot be understood is told, and changes nothing."""
        begun = time.thread_time()
        seen = signature(self._path)
        self._pause = max(self._pace.period, _SHARE * (time.thread_time() - begun))
        if seen == self._seen and time.monotonic() < self._retry_at:
            return
        begun = time.monotonic()
        try:
            loaded = self._read()
        except InputError as error:
            ended = time.monotonic()
            self._retry_at = ended + max(self._pace.retry, _SHARE * (ended - begun))
            self._refuse(error)
        else:
            self._retry_at = float("inf")
            if not self._stop.is_set():
                self._take(loaded)

    def _follow(self) -> None:
        while not self._stop.wait(self._pause):
            try:
                self.look()
            except Exception as error:  # whatever it is, another attempt may do
                self._retry_at = time.monotonic() + self._pace.retry
                log.exception("manifests not followed", path=self._path)
                self._health.fail(PART, str(error))

    def _read(self) -> Loaded:
        """What the directory says while nobody writes to it; InputError where that can't be understood."""
        for _ in range(_MOST_READINGS):
            self._seen = self._at_rest()
            outcome = _load(self._path, self._options, self._kinds)
            if signature(self._path) == self._seen or self._stop.is_set():
                break
        if isinstance(outcome, InputError):
            raise outcome
        return outcome

    def _at_rest(self) -> Signature:
        seen = signature(self._path)
        for _ in range(_MOST_LOOKS):
            self._stop.wait(self._pace.settle)
            if seen == (seen := signature(self._path)):
                break
        return seen

    def _take(self, loaded: Loaded) -> None:
        world = {kind: each for kind, each in lists(loaded.snapshot).items() if kind in self._kinds}
        changed = self._bus.replace_all(world)
        for kind, objects in world.items():
            self._metrics.lists.labels(kind.value).inc()
            self._metrics.objects.labels(kind.value).set(len(objects))
            self._metrics.watch_connected.labels(kind.value).set(1)
        self._notice(loaded.notices)
        for warning in loaded.warnings:
            if warning not in self._warnings:
                log.warning(warning)
        self._warnings = loaded.warnings
        self._health.recover(PART)
        (log.info if changed or self._problem else log.debug)("manifests read", path=self._path, changed=changed)
        self._problem = ""

    def _notice(self, notices: tuple[Notice, ...]) -> None:
        found: defaultdict[Key, list[Notice]] = defaultdict(list)
        for notice in notices:
            found[Key(Kind(notice.kind), notice.namespace, notice.name)].append(notice)
        for key in self._noticed | found.keys():
            self._notices.put(key, "", tuple(found.get(key, ())))
        self._noticed = frozenset(found)

    def _refuse(self, error: InputError) -> None:
        for kind in self._kinds:
            self._metrics.watch_connected.labels(kind.value).set(0)
        first, *others = error.problems
        self._health.fail(PART, first)
        if str(error) != self._problem:
            self._problem = str(error)
            self._metrics.watch_failures.labels("manifests", "invalid").inc()
            log.warning("manifests not understood, the last ones hold", reason=first, more=len(others))


def signature(path: Path) -> Signature:
    """What is to be seen of the manifests at `path` without reading them; empty where nothing is.

    Links are followed: a ConfigMap's files change by one link of its directory that is put in place.
    """
    try:
        if not path.is_dir():
            return (_identity(path.name, path),)
        with os.scandir(path) as entries:
            manifests = (each for each in entries if each.name.lower().endswith(SUFFIXES))
            return tuple(sorted(_identity(each.name, each) for each in manifests))
    except OSError:
        return ()


def _identity(name: str, file: Path | os.DirEntry[str]) -> tuple[str, int, int, int, int]:
    """Zeros where the file cannot be seen: a link may lead nowhere for a while."""
    try:
        found = file.stat()
    except OSError:
        return name, 0, 0, 0, 0
    return name, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _load(path: Path, options: PolicyOptions, kinds: Collection[Kind]) -> Loaded | InputError:
    try:
        return load(path, options, kinds)
    except InputError as error:
        return error
