"""A disk that has no more room, for a while."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def most_bytes_of_files(most: int) -> Iterator[None]:
    """Inside, no file of this process grows over so many bytes: what fits of a write is written, as on a full disk.

    Choose more than any other file has that something else here may be writing to.
    """
    assert signal.getsignal(signal.SIGXFSZ) is signal.SIG_IGN, "the kernel would end this process"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
