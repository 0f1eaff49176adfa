"""A nameless network namespace, and being inside it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess, run
from types import TracebackType
from typing import Self

from netpol.errors import NetpolError

CLONE_NEWNET = 0x40000000
OWN_NAMESPACE = "/proc/thread-self/ns/net"

FIRST_SOURCE_PORT, LAST_SOURCE_PORT = 20000, 60999

_libc = ctypes.CDLL(None, use_errno=True)


class LabError(NetpolError):
    """A lab could not be built or used; the line says what was missing or refused."""


class Namespace:
    """A network namespace that exists until it is closed and the last socket or process in it is gone.

    It has no name in the file system: a file descriptor of this process is all that holds it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        with _namespace_restored():
            _check(_libc.unshare(CLONE_NEWNET), f"cannot make a network namespace for {name}")
            self._descriptor = _open_own()
        self._source_port = FIRST_SOURCE_PORT

    @contextmanager
    def entered(self) -> Iterator[None]:
        """The calling thread is in this namespace inside the `with`, and back where it was after it.

        Sockets created and processes started inside stay in the namespace. /proc/sys/net and
        /proc/thread-self/net show it; /proc/net shows the namespace of the process's first thread.
        """
        with _namespace_restored():
            _check(_libc.setns(self._descriptor, CLONE_NEWNET), f"cannot enter the network namespace of {self.name}")
            yield

    def run(self, command: Sequence[str], given: str | None = None) -> CompletedProcess[str]:
        """What `command` wrote and returned when run in this namespace, with `given` on its standard input."""
        with self.entered():
            return run(list(command), input=given, capture_output=True, text=True, check=False)

    def configure(self, sysctls: dict[str, str]) -> None:
        """Each sysctl, named as below /proc/sys/net, has its value in this namespace.

        LabError where this kernel has no such sysctl, or /proc/sys may not be written as in many containers.
        """
        with self.entered():
            for name, value in sysctls.items():
                try:
                    Path("/proc/sys/net", name).write_text(value, encoding="ascii")
                except OSError as refusal:
                    raise LabError(
                        f"{self.name} cannot have net/{name} set to {value}: {refusal.strerror}"
                    ) from refusal

    def fresh_source_port(self) -> int:
        """A source port that none of the last 40,000 calls returned.

        Connection tracking remembers the ports of earlier connections: one that repeats them would be taken for its
        continuation, and not be judged.
        """
        port = self._source_port
        self._source_port = port + 1 if port < LAST_SOURCE_PORT else FIRST_SOURCE_PORT
        return port

    @property
    def descriptor(self) -> int:
        """The file descriptor that names the namespace to the kernel; -1 once closed."""
        return self._descriptor

    def close(self) -> None:
        """Let go of the namespace."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Namespace({self.name!r})"


def require_namespaces() -> None:
    """Nothing happens where this process may make network namespaces; LabError says what it lacks otherwise."""
    if os.geteuid() != 0:
        raise LabError("needs root: network namespaces")
    Namespace("a first try").close()


@contextmanager
def _namespace_restored() -> Iterator[None]:
    before = _open_own()
    try:
        yield
    finally:
        _check(_libc.setns(before, CLONE_NEWNET), "cannot return to the network namespace")
        os.close(before)


def _open_own() -> int:
    return os.open(OWN_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)


def _check(result: int, complaint: str) -> None:
    if result != 0:
        raise LabError(f"{complaint}: {os.strerror(ctypes.get_errno())}")
