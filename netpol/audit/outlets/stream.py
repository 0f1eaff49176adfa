"""Records as lines to a stream that is open already: standard output, whatever stands behind it."""

from __future__ import annotations

import os
import select

from netpol.audit.record import Record, encode


class Stream:
    """Lines to a file descriptor, which may be a pipe, a terminal or a file, and others' as well.

    A line that was begun and could not be finished is ended before the next one, so that it spoils
    no other: what it told of is told by another line, or counted as lost.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_begun = False

    def write(self, record: Record) -> None:
        """The record is a line of the stream; this waits for a reader that does not read."""
        rest = memoryview(b"%b%b\n" % (b"\n" if self._is_begun else b"", encode(record)))
        while rest:
            rest = rest[written_of(self._descriptor, rest) :]
            self._is_begun = bool(rest)

    def close(self) -> None:
        """Nothing to do: the stream is not ours."""


def written_of(descriptor: int, data: memoryview) -> int:
    """How many of the bytes are written, at least one; this waits for room, whether or not the file would."""
    while True:
        try:
            return os.write(descriptor, data)
        except BlockingIOError:
            # Whoever shares the file may have made it non-blocking, for all who write to it.
            room = select.poll()
            room.register(descriptor, select.POLLOUT)
            room.poll()
