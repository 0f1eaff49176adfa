"""The one place that starts a program."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from netpol.errors import KernelRefusal

TIMEOUT_SECONDS = 60.0
"""Longer than any tool waits for a lock; what takes longer is stuck."""

PACKAGES = {"iptables": "iptables", "ip6tables": "iptables"}
"""The Debian package of each tool, by the first part of its name."""

# The tools' messages are read, so they must not be translated; PATH, because a service's may lack sbin.
_ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


class ToolMissing(KernelRefusal):
    """A program that the work needs is not installed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a program that ended left behind."""

    status: int
    output: str
    complaint: str


def run_tool(arguments: Sequence[str], text: str = "", timeout_seconds: float = TIMEOUT_SECONDS) -> Outcome:
    """What the program did with `text` on its standard input, whatever its exit status.

    ToolMissing where it is not installed, KernelRefusal where it cannot be started or
    does not end in time; it is killed then. Bytes that are no UTF-8 survive the round trip.
    """
    with _starting(arguments[0]):
        try:
            done = subprocess.run(
                arguments,
                input=text,
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                env=_ENVIRONMENT,
                timeout=timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as stuck:
            raise KernelRefusal(f"{arguments[0]} did not end within {timeout_seconds:g} s and was killed") from stuck
    return Outcome(done.returncode, done.stdout, done.stderr)


def start_tool(arguments: Sequence[str], reads: int, complains_to: int) -> subprocess.Popen[bytes]:
    """The program, started, with these two files as its standard input and error; what it prints is lost."""
    with _starting(arguments[0]):
        return subprocess.Popen(
            arguments, stdin=reads, stdout=subprocess.DEVNULL, stderr=complains_to, env=_ENVIRONMENT
        )


@contextmanager
def _starting(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as missing:
        if missing.filename != name:
            raise KernelRefusal(f"{name} cannot be started: there is no {missing.filename}") from missing
        package = PACKAGES.get(name.partition("-")[0], name)
        raise ToolMissing(f"{name} is not installed: install the package {package}") from missing
    except OSError as refused:
        raise KernelRefusal(f"{name} cannot be started: {refused.strerror}") from refused
