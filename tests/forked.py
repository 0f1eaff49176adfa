"""The netpol command in a process of its own, forked: what a new interpreter would import is there already."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from subprocess import CompletedProcess
from tempfile import TemporaryFile
from typing import IO

from netpol.cli import main
from netpol.lab.namespace import Namespace

BROKE = 70
"""The exit status of a command that ended with an exception of Python."""


class Command:
    """`netpol` with these arguments, running in `namespace` as `user`."""

    def __init__(self, namespace: Namespace, arguments: Sequence[str], user: int = 0) -> None:
        self._arguments = list(arguments)
        with TemporaryFile("w+") as output, TemporaryFile("w+") as complaints:
            self._output, self._complaints = os.dup(output.fileno()), os.dup(complaints.fileno())
            self.pid = os.fork()
            if self.pid == 0:
                os._exit(_run(namespace, self._arguments, user, output, complaints))

    def has_ended(self) -> bool:
        """True once the command has; it still waits to be asked what it returned."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def wait(self) -> CompletedProcess[str]:
        """What the command wrote and returned, once it has ended."""
        _, status = os.waitpid(self.pid, 0)
        texts = []
        for descriptor in (self._output, self._complaints):
            with os.fdopen(descriptor, "r+") as written:
                written.seek(0)
                texts.append(written.read())
        return CompletedProcess(self._arguments, os.waitstatus_to_exitcode(status), *texts)


def _run(namespace: Namespace, arguments: list[str], user: int, output: IO[str], complaints: IO[str]) -> int:
    sys.stdout, sys.stderr = output, complaints
    try:
        with namespace.entered():
            os.seteuid(user)
            try:
                return main(arguments)
            finally:
                os.seteuid(0)
    except BaseException:
        traceback.print_exc()
        return BROKE
    finally:
        output.flush()
        complaints.flush()
