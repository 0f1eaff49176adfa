"""Whether the agent is alive, and whether this node's kernel is as the cluster asks for.

Parts are named by their package first: `control`, `source.directory`, `source.kube.Pod`. What
happens to a source is told and is no fault of the agent's: while the API server is away the rules
stay in force, and neither a restart nor traffic kept off the node would mend it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

FAILING_AFTER_SECONDS = 30.0
"""How long a part may fail before the node is not ready: a table that is locked for a moment is no news."""

_OUTSIDE = "source"


@dataclass(frozen=True, slots=True)
class Report:
    """An answer to a probe, and what a person reads of it, a line for each part that is not well."""

    is_good: bool
    text: str


@dataclass(frozen=True, slots=True)
class _Failure:
    reason: str
    since: float


@dataclass(slots=True)
class _Pulse:
    last: float
    within_seconds: float


class Health:
    """What the parts say of themselves; for any number of threads. `clock` returns seconds and never goes back."""

    def __init__(
        self,
        clock: Callable[[], float],
        stuck_after_seconds: float,
        failing_after_seconds: float = FAILING_AFTER_SECONDS,
    ) -> None:
        self._clock = clock
        self._stuck_after_seconds = stuck_after_seconds
        self._failing_after_seconds = failing_after_seconds
        self._lock = threading.Lock()
        self._pulses: dict[str, _Pulse] = {}
        self._failures: dict[str, _Failure] = {}
        self._programming: set[str] = set()
        self._programmed: set[str] = set()

    def expect(self, part: str, within_seconds: float | None = None) -> None:
        """From here on the part must beat at least this often; one that nobody expects may be silent."""
        within = self._stuck_after_seconds if within_seconds is None else within_seconds
        with self._lock:
            self._pulses[part] = _Pulse(self._clock(), within)

    def dismiss(self, part: str) -> None:
        """The part has ended and was meant to: no beat is expected of it, and its failure is no more."""
        with self._lock:
            self._pulses.pop(part, None)
            self._failures.pop(part, None)

    def beat(self, part: str) -> None:
        """The part is at work, or idle and able to work."""
        with self._lock:
            if pulse := self._pulses.get(part):
                pulse.last = self._clock()

    def fail(self, part: str, reason: str) -> None:
        """The part cannot do its work; it has failed since the first of these calls, and the last one says why."""
        with self._lock:
            known = self._failures.get(part)
            self._failures[part] = _Failure(reason, known.since if known else self._clock())

    def recover(self, part: str) -> None:
        """The part does its work again; no news where it never failed."""
        with self._lock:
            self._failures.pop(part, None)

    def expect_programmed(self, part: str) -> None:
        """The kernel is not programmed before this part says so too; to be said before any does."""
        with self._lock:
            self._programming.add(part)

    def programmed(self, part: str) -> None:
        """Every kind that the part follows was listed, and the kernel has held what they ask for at least once."""
        with self._lock:
            self._programmed.add(part)

    def is_alive(self) -> bool:
        """False where a part is stuck and only a restart may help."""
        return self.liveness().is_good

    def is_ready(self) -> bool:
        """True where the kernel holds what is known of the cluster."""
        return self.readiness().is_good

    def liveness(self) -> Report:
        """What /healthz answers."""
        with self._lock:
            now = self._clock()
            stuck = self._stuck(now)
            return _report(stuck, self._failing(now))

    def readiness(self) -> Report:
        """What /readyz answers."""
        with self._lock:
            now = self._clock()
            faults = self._stuck(now)
            if not self._programmed or self._programming - self._programmed:
                faults.append("the kernel is not programmed yet")
            failing = self._failing(now)
            faults += [
                failing.pop(part)
                for part, failure in self._failures.items()
                if not _is_outside(part) and now - failure.since >= self._failing_after_seconds
            ]
            return _report(faults, failing)

    def _stuck(self, now: float) -> list[str]:
        return [
            f"{part}: no sign of life for {now - pulse.last:.0f} s"
            for part, pulse in self._pulses.items()
            if now - pulse.last > pulse.within_seconds
        ]

    def _failing(self, now: float) -> dict[str, str]:
        return {
            part: f"{part}: failing for {now - failure.since:.0f} s: {failure.reason}"
            for part, failure in self._failures.items()
        }


def _is_outside(part: str) -> bool:
    return part.partition(".")[0] == _OUTSIDE


def _report(faults: list[str], told: dict[str, str]) -> Report:
    return Report(not faults, "".join(f"{line}\n" for line in (*(faults or ["ok"]), *told.values())))
