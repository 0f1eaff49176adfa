"""A way out of the audit log: a queue, a thread that writes, and an account of what it could not write."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

import msgspec

from netpol.audit.outlets.counters import OutletCounters
from netpol.audit.record import Record
from netpol.errors import NetpolError
from netpol.model.moments import Moment, rfc3339
from netpol.telemetry.logs import Log

MOST_WAITING = 10_000
"""Records, of some two kilobytes each in memory; the outlets have the same ones."""

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
"""Between attempts to write what was refused; a pause is twice as long as the one before."""

QUIET_SECONDS = 1.0
"""How long what was lost waits for a record that tells of it, before it gets one of its own."""

log = Log("audit")


class TooLarge(NetpolError):
    """The sink can never take this record, whatever room there is."""


class Sink(Protocol):
    """What an outlet's thread writes to; no other thread uses it."""

    def write(self, record: Record) -> None:
        """All of the record is written, however long that takes.

        Else an OSError: nothing of it will be read as a record, and it may be tried again; or TooLarge.
        """

    def close(self) -> None:
        """What was open is closed; a write would open it again."""


class Outlet:
    """Writes records in their order from a thread of its own, so that nobody waits for a disk or a reader.

    Of all that was put, the counts and the losses of the records written add up to the same number as soon as the sink
    has worked for `QUIET_SECONDS`: what there is no room for, or what the sink can't take, is added to the `lost` of
    the next record that is written. `now` is the wall's clock.
    """

    def __init__(self, name: str, sink: Sink, node: str, counters: OutletCounters, now: Callable[[], Moment]) -> None:
        self.name = name
        self._sink = sink
        self._node = node
        self._counters = counters
        self._now = now
        self._changed = threading.Condition()
        self._waiting: deque[Record] = deque()
        self._under_way: Record | None = None
        self._owed = 0
        self._is_closed = False
        self._stopping = threading.Event()
        self._complaint = ""
        self._is_failing = False
        self._thread = threading.Thread(target=self._run, name=f"audit {name}", daemon=True)

    def start(self) -> None:
        """From here on records are written; those put before are not lost."""
        self._thread.start()

    def put(self, record: Record) -> None:
        """The record is written some time, or counted as lost; for any thread, and none of them waits or fails."""
        with self._changed:
            if self._is_closed:
                self._counters.lost(record)
            elif len(self._waiting) < MOST_WAITING:
                self._waiting.append(record)
                self._changed.notify()
            else:
                self._lose(record)

    def end(self) -> None:
        """The outlet ends once what was put is written, or at what the sink refuses; nobody waits for that here."""
        self._stopping.set()
        with self._changed:
            self._changed.notify()

    def stop(self, seconds: float) -> None:
        """What was put is written as far as the time allows and the sink takes it; the rest is counted as lost."""
        self.end()
        if self._thread.is_alive():
            self._thread.join(seconds)
        with self._changed:
            # A thread that hangs in a write is left to itself, and counts nothing any more.
            self._is_closed = True
            left = [*([self._under_way] if self._under_way else ()), *self._waiting]
            self._waiting.clear()
            for record in left:
                self._counters.lost(record)
            lost = self._owed + sum(record.count + record.lost for record in left)
            self._under_way, self._owed = None, 0
        if lost:
            log.warning("the end of the audit log is lost", outlet=self.name, records=len(left), packets=lost)

    def _run(self) -> None:
        while (record := self._next()) and self._deliver(record):
            pass
        self._sink.close()

    def _next(self) -> Record | None:
        """The record to write, with what is owed; None where the outlet stops and nothing is left."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._waiting or self._stopping.is_set(), QUIET_SECONDS if self._owed else None
            )
            if self._is_closed:
                return None
            if self._waiting:
                record = self._waiting.popleft()
            elif self._owed:
                record = Record.of_lost(rfc3339(self._now()), self._node, 0)
            else:
                return None
            if self._owed:
                record = msgspec.structs.replace(record, lost=record.lost + self._owed)
                self._owed = 0
            self._under_way = record
            return record

    def _deliver(self, record: Record) -> bool:
        """The record is written or given up; False where the outlet stops before that."""
        pause_seconds = FIRST_PAUSE_SECONDS
        while not self._attempt(record):
            if self._stopping.is_set():
                return False
            self._stopping.wait(pause_seconds)
            pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
        return True

    def _attempt(self, record: Record) -> bool:
        """False where it may be tried again."""
        try:
            self._sink.write(record)
        except OSError as error:
            self._is_failing = True
            if self._is_news(error):
                log.exception("the audit log cannot be written", outlet=self.name)
            return False
        except Exception as error:  # this record will never be written, but the next may be
            if self._is_news(error):
                log.exception("a record of the audit log is given up", outlet=self.name)
            self._give_up(record)
        else:
            self._settle()
        return True

    def _settle(self) -> None:
        """The record under way is written."""
        if self._is_failing:
            self._is_failing, self._complaint = False, ""
            log.info("the audit log is written again", outlet=self.name)
        with self._changed:
            self._under_way = None
            if not self._is_closed:
                self._counters.written()

    def _give_up(self, record: Record) -> None:
        """The record under way is lost."""
        with self._changed:
            self._under_way = None
            if not self._is_closed:
                self._lose(record)

    def _lose(self, record: Record) -> None:
        """The account has what the record told of; under the lock."""
        self._owed += record.count + record.lost
        self._counters.lost(record)

    def _is_news(self, error: Exception) -> bool:
        """True where the trouble is not the last one's."""
        complaint, self._complaint = self._complaint, repr(error)
        return complaint != self._complaint
