"""Who can open a connection to whom, asked with packets, all at once."""

from __future__ import annotations

import enum
import resource
import time
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from selectors import EVENT_READ, BaseSelector, DefaultSelector

from netpol.lab.attempts import Attempt, begin
from netpol.lab.listeners import Listeners, Place
from netpol.lab.topology import Endpoint

BATCH = 64
"""How many probes begin before the listeners are looked after again."""
MOST_IN_FLIGHT = 2000
DESCRIPTORS_PER_PROBE = 4
IDLE_SECONDS = 0.02


class Outcome(enum.Enum):
    """What came of the opening packet."""

    REACHED = "reached"
    SILENT = "silent"
    REFUSED = "refused"
    WRONG_END = "wrong end"
    """The connection opened, but to another namespace than the one that has the address."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A question: does a connection from `source` to `place` open?"""

    source: Endpoint
    place: Place

    def __str__(self) -> str:
        return f"{self.source} -> {self.place}"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long no answer is waited for until it means silence, in seconds.

    A first try is repeated after `retry`, then after twice that, and so on: TCP's own repetition would take a second.
    A connection that is expected to open gets the longer time, so that a busy machine is not taken for a firewall.
    """

    silent: float = 0.6
    expected: float = 6.0
    retry: float = 0.2


USUAL = Patience()


def probe(
    probes: Iterable[Probe],
    *,
    expected: Collection[Probe] = frozenset(),
    listening: Iterable[Place] | None = None,
    patience: Patience = USUAL,
) -> dict[Probe, Outcome]:
    """The outcome of every probe; `listening` are the places where someone listens, by default all that are probed."""
    asked = list(dict.fromkeys(probes))
    with DefaultSelector() as selector:
        places = [question.place for question in asked] if listening is None else listening
        with Listeners(places, selector):
            return _Round(asked, expected, patience, selector).run()


@dataclass(slots=True)
class _Trial:
    """A probe under way: every attempt stays open until one is answered."""

    question: Probe
    attempts: list[Attempt]
    begun: float
    retried: float
    wait: float


class _Round:
    """All probes of one call, as many at a time as there are file descriptors for."""

    def __init__(
        self, asked: list[Probe], expected: Collection[Probe], patience: Patience, selector: BaseSelector
    ) -> None:
        self._waiting = deque(asked)
        self._expected = expected
        self._patience = patience
        self._selector = selector
        self._in_flight: dict[Probe, _Trial] = {}
        self._outcomes: dict[Probe, Outcome] = {}
        self._most = _room()

    def run(self) -> dict[Probe, Outcome]:
        """The outcomes, when nothing is left to ask."""
        try:
            while self._waiting or self._in_flight:
                room = min(BATCH, self._most - len(self._in_flight), len(self._waiting))
                for _ in range(room):
                    self._begin(self._waiting.popleft())
                if not self._listen(0 if room else IDLE_SECONDS):
                    self._judge_the_silent()
        finally:
            for trial in list(self._in_flight.values()):
                self._close(trial)
        return self._outcomes

    def _begin(self, question: Probe) -> None:
        now = time.monotonic()
        self._in_flight[question] = trial = _Trial(question, [], now, now, self._patience.retry)
        self._try(trial)

    def _try(self, trial: _Trial) -> None:
        attempt = begin(trial.question.source, trial.question.place)
        trial.attempts.append(attempt)
        self._selector.register(attempt.socket, EVENT_READ, lambda: self._read(trial, attempt))

    def _listen(self, seconds: float) -> bool:
        """True where anything arrived within `seconds`, and was dealt with."""
        ready = self._selector.select(seconds)
        for key, _ in ready:
            # What an earlier one of this list has settled is closed.
            if key.fd in self._selector.get_map():
                key.data()
        return bool(ready)

    def _read(self, trial: _Trial, attempt: Attempt) -> None:
        try:
            answerer = attempt.read()
        except OSError:
            self._settle(trial, Outcome.REFUSED)
            return
        if answerer is not None:
            right = answerer == trial.question.place.endpoint.namespace.name
            self._settle(trial, Outcome.REACHED if right else Outcome.WRONG_END)

    def _judge_the_silent(self) -> None:
        """Repeat or give up what has waited long enough.

        Called only when nothing waits to be read: however late this process gets to run, an answer that is there
        counts before the clock does.
        """
        now = time.monotonic()
        for trial in list(self._in_flight.values()):
            hopeful = trial.question in self._expected
            if now - trial.begun >= (self._patience.expected if hopeful else self._patience.silent):
                self._settle(trial, Outcome.SILENT)
            elif now - trial.retried >= trial.wait:
                trial.retried = now
                trial.wait *= 2
                self._try(trial)

    def _settle(self, trial: _Trial, outcome: Outcome) -> None:
        self._outcomes[trial.question] = outcome
        self._close(trial)

    def _close(self, trial: _Trial) -> None:
        del self._in_flight[trial.question]
        for attempt in trial.attempts:
            self._selector.unregister(attempt.socket)
            attempt.socket.close()


def _room() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return max(1, min(MOST_IN_FLIGHT, (soft - in_use) // DESCRIPTORS_PER_PROBE))
