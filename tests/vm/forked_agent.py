"""The netpol command as a process that goes on, forked from one that has imported all of it.

On a guest's processor the imports alone would take many seconds for every start, and a process forked from pytest
itself would be slow for its size: what it touches is copied page by page, each at the price of many system calls.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NoReturn

from testbed.processes import LAST_WORDS, Ended
from waiting import wait_until

from netpol.cli import command, main
from netpol.lab.namespace import CLONE_NEWNET, Namespace

TESTS = Path(__file__).parents[1]
BROKE = 70
"""The exit status of a command that ended with an exception of Python."""
SET_DEATH_SIGNAL, SET_CHILD_SUBREAPER = 1, 36
LOOK_SECONDS = 0.02
MOST_BYTES = 1 << 16

_libc = ctypes.CDLL(None, use_errno=True)


class ForkedProcess:
    """`netpol` with these arguments, in a network namespace; its output goes to a file.

    It holds nothing that this process has open, and the kernel kills it where this one dies first.
    """

    def __init__(self, namespace: Namespace, arguments: Sequence[str], log: Path) -> None:
        self._log = log
        self._status: int | None = None
        with log.open("ab") as output:
            words = json.dumps([os.getpid(), *arguments]).encode()
            socket.send_fds(_stem(), [words], [namespace.descriptor, output.fileno()])
            self.pid = int(_stem().recv(MOST_BYTES))

    def status(self) -> int | None:
        """What it ended with; None while it runs."""
        if self._status is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def until(self, what: str, ask: Callable[[], object], seconds: float) -> None:
        """`ask` has answered true; Ended where the process ends first."""

        def ask_while_it_runs() -> object:
            status = self.status()
            if status is not None:
                raise Ended(f"netpol ended with {status}: {self._log.read_text(errors='replace')[-LAST_WORDS:]}")
            return ask()

        wait_until(ask_while_it_runs, f"netpol: {what}", seconds)

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


# --- the process that the others are forked from


@cache
def _stem() -> socket.socket:
    """The way to it; it ends when this process does."""
    _libc.prctl(SET_CHILD_SUBREAPER, 1)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        asked = [sys.executable, "-m", "vm.forked_agent", str(theirs.fileno())]
        # The tests' folder has a `netpol` too, without a module in it.
        environment = {**os.environ, "PYTHONPATH": f"{TESTS.parent}:{TESTS}"}
        theirs.set_inheritable(True)
        os.posix_spawn(sys.executable, asked, environment)
    return ours


def _fork_for_others(way: socket.socket) -> None:
    """A process for each request, until nobody can ask for another; the answer is its process id."""
    command("run")
    while True:
        words, descriptors, _, _ = socket.recv_fds(way, MOST_BYTES, 2)
        if not words:
            return
        parent, *arguments = json.loads(words)
        answer, told = os.pipe()
        between = os.fork()
        if between == 0:
            # Its own end makes what it forks the child of whoever asked.
            child = os.fork()
            if child == 0:
                _become(parent, arguments, *descriptors)
            os.write(told, str(child).encode())
            os._exit(0)
        os.waitpid(between, 0)
        way.send(os.read(answer, MOST_BYTES))
        for each in (answer, told, *descriptors):
            os.close(each)


def _become(parent: int, arguments: list[str], namespace: int, log: int) -> NoReturn:
    """The process is the command from here on, and nothing comes after it."""
    status = BROKE
    try:
        while os.getppid() != parent:
            time.sleep(0.001)
        _libc.prctl(SET_DEATH_SIGNAL, signal.SIGKILL)
        os.setsid()
        assert _libc.setns(namespace, CLONE_NEWNET) == 0, ctypes.get_errno()
        for number, descriptor in enumerate((os.open(os.devnull, os.O_RDONLY), log, log)):
            os.dup2(descriptor, number)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        status = main(arguments)
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(status)


if __name__ == "__main__":
    _fork_for_others(socket.socket(fileno=int(sys.argv[1])))
