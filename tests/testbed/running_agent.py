"""The agent under test as a process: what it says, and how it ends."""

from __future__ import annotations

import re
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from netpol.lab.namespace import Namespace

METRICS_PORT = 20245
STARTING_SECONDS = 60
SOON_SECONDS = 60
"""How long a busy machine may take for what takes milliseconds."""


class AgentProcess(Protocol):
    """`netpol run`, however it was started."""

    def status(self) -> int | None:
        """What it ended with; None while it runs."""

    def until(self, what: str, ask: Callable[[], object], seconds: float) -> None:
        """`ask` has answered true; an exception where the process ends first."""

    def stop(self, _patience_seconds: float, /) -> None:
        """It has ended: asked to, and killed where it would not in time."""

    def kill(self) -> None:
        """It has ended, without a chance to do anything about it."""


class RunningAgent(ABC):
    """`netpol run` in a network namespace, with its output in a file; it runs inside the `with`."""

    def __init__(self, home: Namespace, log: Path) -> None:
        self._home = home
        self._log = log
        self._process: AgentProcess | None = None

    @abstractmethod
    def start(self) -> None:
        """It runs, and the kernel has what there is."""

    def stop(self) -> None:
        """It has ended as it was asked to, without a word of a bug."""
        process = self._taken()
        process.stop(SOON_SECONDS)
        assert process.status() == 0, self.said
        assert "Traceback" not in self.said, self.said
        assert "a bug" not in self.said, self.said

    def kill(self) -> None:
        """It was killed where it was."""
        self._taken().kill()

    @property
    def said(self) -> str:
        """What it has logged so far."""
        return self._log.read_text(encoding="utf-8") if self._log.exists() else ""

    def until_said(self, words: str, seconds: float = SOON_SECONDS, after: int = 0) -> None:
        """It has logged these words, `after` so many characters of its log."""
        self.until(f"says {words!r}", lambda: words in self.said[after:], seconds)

    def until(self, what: str, ask: Callable[[], object], seconds: float = SOON_SECONDS) -> None:
        """The answer is yes, while it runs."""
        assert self._process is not None
        try:
            self._process.until(what, ask, seconds)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.said}") from late

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric over all labels that are not given."""
        with self._home.entered():
            opened = urllib.request.urlopen(f"http://127.0.0.1:{METRICS_PORT}/metrics", timeout=10)
        with opened as answer:
            return metric_in(answer.read().decode(), name, **labels)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        if error is None:
            self.stop()
        else:
            self._taken().stop(SOON_SECONDS)

    def _taken(self) -> AgentProcess:
        process, self._process = self._process, None
        assert process is not None, "it does not run"
        return process


def metric_in(text: str, name: str, **labels: str) -> float:
    """The sum of a metric over all labels that are not given, in what a scrape was answered."""
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    own = [line for line in text.splitlines() if re.match(rf"{name}[ {{]", line)]
    return sum(float(line.rpartition(" ")[2]) for line in own if all(label in line for label in wanted))
