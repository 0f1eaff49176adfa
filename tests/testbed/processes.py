"""Servers that live no longer than the tests that start them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from waiting import wait_until

LAST_WORDS = 2000


def processes_naming(path: Path) -> list[int]:
    """The processes in whose arguments the path is."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                arguments = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(path).encode() in arguments:
                found.append(int(entry.name))
    return found


class Ended(Exception):
    """A server is not running any more; says with what status, and its last words."""


class Process:
    """A running program whose output goes to a file.

    The kernel kills it where the thread that started it dies first, however that happens.
    """

    def __init__(self, name: str, command: Sequence[str | Path], log: Path) -> None:
        self.name, self.log = name, log
        bound = ["setpriv", "--pdeathsig", "KILL", "--", *map(str, command)]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                bound, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd="/"
            )

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self._process.pid

    def only_child(self) -> int:
        """The process id of the one process that it has started."""
        children = Path("/proc", str(self.pid), "task", str(self.pid), "children")

        def child() -> str:
            self.must_run()
            return children.read_text()

        return int(wait_until(child, f"{self.name} has a child"))

    def status(self) -> int | None:
        """What it ended with; None while it runs."""
        return self._process.poll()

    def must_run(self) -> None:
        """Nothing happens while it runs; otherwise Ended."""
        status = self.status()
        if status is not None:
            raise Ended(f"{self.name} ended with {status}: {self.last_words()}")

    def until(self, what: str, ask: Callable[[], object], seconds: float = 60) -> None:
        """`ask` has answered true; Ended where the program ends first."""

        def ask_while_it_runs() -> object:
            self.must_run()
            return ask()

        wait_until(ask_while_it_runs, f"{self.name}: {what}", seconds)

    def last_words(self) -> str:
        """The end of what it wrote."""
        return self.log.read_text(errors="replace")[-LAST_WORDS:]

    def stop(self, patience: float = 10) -> None:
        """It has ended: asked to with SIGTERM, and killed where it would not within `patience` seconds."""
        self._process.terminate()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """It has ended, without a chance to do anything about it."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
