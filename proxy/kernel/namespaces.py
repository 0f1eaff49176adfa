"""Other network namespaces of this machine: finding those that can be reached, and being in them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import TypeVar

_CLONE_NEWNET = 0x40000000
_OWN = Path("/proc/thread-self/ns/net")
_NAMED, _PROCESSES = Path("/run/netns"), Path("/proc")

_libc = ctypes.CDLL(None, use_errno=True)

Found = TypeVar("Found")


def reachable_namespaces() -> Sequence[Path]:
    """A way to each network namespace but the calling thread's own: by its name, or else by a process in it.

    Those of other processes are seen with hostPID, named ones where /run/netns is mounted.
    """
    return tuple(_reachable())


def _reachable() -> Iterator[Path]:
    own = _OWN.stat()
    seen = {own.st_ino}
    for path in chain(_NAMED.glob("*"), _PROCESSES.glob("[0-9]*/ns/net")):
        try:
            found = path.stat()
        except OSError:
            # The process has ended, or is one that may not be looked into.
            continue
        # A name without a namespace is a file of another file system.
        if found.st_dev == own.st_dev and found.st_ino not in seen:
            seen.add(found.st_ino)
            yield path


def visit(namespaces: Iterable[Path], work: Callable[[Path], Found]) -> Sequence[Found]:
    """What `work` returned in each of the namespaces, in a thread of its own that ends afterwards.

    Those that are gone, or may not be entered, are passed over.
    """
    paths = tuple(namespaces)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: [work(path) for path in paths if _entered(path)]).result()


def _entered(path: Path) -> bool:
    """True where the calling thread is in that namespace, for good."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return bool(_libc.setns(descriptor, _CLONE_NEWNET) == 0)
    finally:
        os.close(descriptor)
