"""A network namespace for one test, and what to do where the machine cannot give one."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
EVERYTHING_REQUIRED = os.environ.get("NETPOL_REQUIRE_ALL") == "1"

_libc = ctypes.CDLL(None, use_errno=True)


def missing(reason: str) -> NoReturn:
    """End the test: skipped, or failed where NETPOL_REQUIRE_ALL=1 says that nothing may be missing."""
    if EVERYTHING_REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def private_network() -> Iterator[None]:
    """Inside, this thread and the processes it starts are in a new network namespace with loopback up.

    OSError where the machine gives none. Sockets opened inside stay in there.
    """
    with Path("/proc/thread-self/ns/net").open("rb") as home:
        _check(_libc.unshare(CLONE_NEWNET))
        try:
            _loopback_up()
            yield
        finally:
            _check(_libc.setns(home.fileno(), CLONE_NEWNET))


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))


def _check(status: int) -> None:
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
