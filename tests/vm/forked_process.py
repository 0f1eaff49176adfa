"""The netpol command as a process that goes on, forked: what a new interpreter would import is there already.

On a guest's processor the imports alone would take many seconds, for every start.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from testbed.processes import LAST_WORDS, Ended
from testbed.waiting import wait_for

# Imported before the fork, instead of in every process after it.
import netpol.agent.agent
import netpol.command.run  # noqa: F401
from netpol.cli import main
from netpol.lab.namespace import Namespace

BROKE = 70
"""The exit status of a command that ended with an exception of Python."""
SET_DEATH_SIGNAL = 1
LOOK_SECONDS = 0.02

_libc = ctypes.CDLL(None, use_errno=True)


class ForkedProcess:
    """`netpol` with these arguments, in a network namespace; its output goes to a file.

    The kernel kills it where the thread that started it dies first. It holds nothing that this process has open.
    """

    def __init__(self, namespace: Namespace, arguments: Sequence[str], log: Path) -> None:
        self._log = log
        self._status: int | None = None
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _become(namespace, list(arguments), log)

    def status(self) -> int | None:
        """What it ended with; None while it runs."""
        if self._status is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def wait_until(self, what: str, ask: Callable[[], object], seconds: float) -> None:
        """`ask` has answered true; Ended where the process ends first."""

        def ask_while_it_runs() -> object:
            status = self.status()
            if status is not None:
                raise Ended(f"netpol ended with {status}: {self._log.read_text(errors='replace')[-LAST_WORDS:]}")
            return ask()

        wait_for(f"netpol: {what}", ask_while_it_runs, seconds)

    def stop(self, patience_seconds: float = 10) -> None:
        """It has ended: asked to with SIGTERM, and killed where it would not in time."""
        self._signal(signal.SIGTERM)
        end = time.monotonic() + patience_seconds
        while self.status() is None and time.monotonic() < end:
            time.sleep(LOOK_SECONDS)
        self.kill()

    def kill(self) -> None:
        """It has ended, without a chance to do anything about it."""
        self._signal(signal.SIGKILL)
        while self.status() is None:
            time.sleep(LOOK_SECONDS)

    def _signal(self, number: signal.Signals) -> None:
        if self.status() is None:
            os.kill(self.pid, number)


def _become(namespace: Namespace, arguments: list[str], log: Path) -> NoReturn:
    """The forked process is the command, and nothing comes after it."""
    status = BROKE
    try:
        _libc.prctl(SET_DEATH_SIGNAL, signal.SIGKILL)
        os.setsid()
        with namespace.entered():
            output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            # A server's socket that stayed open here would keep connections alive that its owner has closed.
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            sys.stdout, sys.stderr = (os.fdopen(each, "w", buffering=1, encoding="utf-8") for each in (1, 2))
            status = main(arguments)
            os._exit(status)
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(status)
