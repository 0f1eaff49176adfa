"""Clients that never stop asking, to see whether anybody is turned away while things change."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple, Self

from vm.conversation import ask
from vm.service_lab import ServiceLab
from waiting import wait_until

from netpol.lab.prober import Outcome
from netpol.lab.topology import Endpoint
from netpol.model.networks import Address
from netpol.model.ports import Protocol

PAUSE_SECONDS = 0.01
"""A guest has one processor, and the agent is to get along."""


class Question(NamedTuple):
    """Who asks, and whom."""

    client: Endpoint
    address: Address
    port: int
    protocol: Protocol = Protocol.TCP

    def __str__(self) -> str:
        return f"{self.client} -> {self.address} {self.port}/{self.protocol.value}"


class SteadyClients:
    """Inside the context, each question is asked time and again, each time on a connection of its own."""

    def __init__(self, lab: ServiceLab, questions: Iterable[Question]) -> None:
        # The table of a guest has room for some thousand, and each would stay in it for two minutes.
        lab.run("sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_timeout_time_wait=1")
        self._stopped = threading.Event()
        self._answers = {each: Counter[str]() for each in questions}
        self._unanswered: list[str] = []
        self._threads = [
            threading.Thread(target=self._ask, args=(each,), name="steady client", daemon=True)
            for each in self._answers
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.go_on()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def unanswered(self) -> list[str]:
        """Every question so far that came to nothing, and what came of it."""
        return list(self._unanswered)

    @property
    def answerers(self) -> frozenset[str]:
        """Whoever answered so far."""
        return frozenset(name for counts in self._answers.values() for name in list(counts))

    def go_on(self, times: int = 5) -> None:
        """Returns once every client has been answered so many times more."""
        before = {each: counts.total() for each, counts in self._answers.items()}
        wait_until(
            lambda: (
                self._unanswered
                or all(counts.total() >= before[each] + times for each, counts in self._answers.items())
            ),
            "answers to every client",
        )
        assert not self._unanswered, self._unanswered

    def stop(self) -> None:
        """Nobody asks any more."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, question: Question) -> None:
        counts = self._answers[question]
        while not self._stopped.wait(PAUSE_SECONDS):
            began = time.monotonic()
            reply = ask(*question)
            if isinstance(reply, Outcome):
                self._unanswered.append(f"{question}: {reply.value} after {time.monotonic() - began:.2f} s")
            else:
                counts[reply.name] += 1
