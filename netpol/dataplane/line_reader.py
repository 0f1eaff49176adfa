"""A program that works off its input line by line, and when it has."""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import threading
import time
from collections.abc import Callable, Sequence

from netpol.dataplane.tool import Outcome, start_tool
from netpol.errors import KernelRefusal

_ONE_PAGE = 1


class LineReader:
    """A program that was started; it is known to have done the lines of a text long before it ends.

    Its standard input is a pipe that holds one page, and has room for another one when the
    page was read. A program that reads no further than it has worked off (iptables-restore
    does, a line at a time) has therefore done the text when it has read the page that
    follows upon it. Pages are filled with empty lines, which must mean nothing to it.

    KernelRefusal where it cannot be started.
    """

    def __init__(self, arguments: Sequence[str], timeout_seconds: float) -> None:
        self._name = arguments[0]
        self._timeout_seconds = timeout_seconds
        # A file, so that nobody need read it for the program to go on.
        self._complaint = os.memfd_create("complaint")
        reading, self._input = os.pipe2(os.O_CLOEXEC)
        try:
            self._page_bytes = fcntl.fcntl(self._input, fcntl.F_SETPIPE_SZ, _ONE_PAGE)
            os.set_blocking(self._input, False)
            self._process = start_tool(arguments, reading, self._complaint)
        except BaseException:
            os.close(self._input)
            os.close(self._complaint)
            raise
        finally:
            os.close(reading)

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    def is_running(self) -> bool:
        """False once it has ended."""
        return self._process.poll() is None

    def feed(self, text: str) -> bool:
        """True once the lines of `text` are worked off; False where the program ended over them.

        KernelRefusal where that takes too long: the program is killed.
        """
        try:
            return self._feed(text.encode("utf-8", errors="surrogateescape"))
        except BaseException:
            self._process.kill()
            self.end()
            raise

    def _feed(self, raw: bytes) -> bool:
        size = self._page_bytes
        pages = raw + b"\n" * (-len(raw) % size + size)
        room = select.poll()
        room.register(self._input, select.POLLOUT)
        deadline = time.monotonic() + self._timeout_seconds
        for start in range(0, len(pages) + 1, size):
            found = room.poll(max(deadline - time.monotonic(), 0) * 1000)
            if not found:
                raise KernelRefusal(f"{self._name} did not end within {self._timeout_seconds:g} s and was killed")
            if found[0][1] & select.POLLERR or not self._write(pages[start : start + size]):
                return False
        return True

    def _write(self, page: bytes) -> bool:
        """False where nobody reads any more."""
        try:
            return os.write(self._input, page) == len(page)
        except BrokenPipeError:
            return False

    def end(self) -> Outcome:
        """What the program left behind when it ended, because nothing more comes."""
        os.close(self._input)
        try:
            status = self._process.wait(self._timeout_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        complaint = os.pread(self._complaint, os.fstat(self._complaint).st_size, 0)
        os.close(self._complaint)
        return Outcome(status, "", complaint.decode("utf-8", errors="surrogateescape"))

    def leave(self, when_ended: Callable[[Outcome], None]) -> None:
        """The program ends in its own time, and a thread waits for it."""
        threading.Thread(target=lambda: when_ended(self.end()), name=f"end of {self._name}", daemon=True).start()
