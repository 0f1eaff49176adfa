"""A log's lines as they are written, across the files that rotation makes of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path

from netpol.audit.reader.lines import Lines
from netpol.audit.rotation import PutAside, put_aside
from netpol.model.moments import SECOND, Moment

_CHUNK_BYTES = 1 << 16


class FollowedLog:
    """The log at `path`, whichever file bears that name: it may be put aside, emptied, or not exist yet.

    It is read from the oldest file on that has a record of `since` or later, by its name; the file
    at `path` itself is always read from its beginning.
    """

    def __init__(self, path: Path, since: Moment) -> None:
        self._path = path
        self._since = since
        self._file: FileIO | None = None
        self._lines = Lines()

    @property
    def found(self) -> bool:
        """True once there was a file to read."""
        return self._file is not None

    def new_lines(self) -> Iterator[bytes]:
        """The lines that were ended since the last call, oldest first."""
        if self._file is None:
            self._file = self._oldest()
        if self._file is not None:
            yield from self._appended(self._file)
            yield from self._of_successors(self._file)

    def begun_line(self) -> bytes:
        """What was written of a line whose end is still to come; it is not given again."""
        return self._lines.begun()

    def close(self) -> None:
        """No file is open any more; the next lines are again those from the beginning."""
        if self._file is not None:
            self._file.close()
            self._file, self._lines = None, Lines()

    def _of_successors(self, file: FileIO) -> Iterator[bytes]:
        """What is new once other files came after `file`: the writer is done with a file before it begins another."""
        while successor := self._successor(file):
            yield from self._appended(file)
            if begun := self.begun_line():
                yield begun
            file.close()
            self._file = file = successor
            yield from self._appended(file)

    def _appended(self, file: FileIO) -> Iterator[bytes]:
        if os.fstat(file.fileno()).st_size < file.tell():
            # It was emptied, as logrotate's copytruncate does.
            file.seek(0)
            self._lines = Lines()
        while chunk := file.read(_CHUNK_BYTES):
            yield from self._lines.ended_by(chunk)

    def _oldest(self) -> FileIO | None:
        """The first file to read: None where there is none."""
        current = _opened(self._path)
        return self._first((file for file in put_aside(self._path) if file.reaches(self._since)), current)

    def _successor(self, file: FileIO) -> FileIO | None:
        """The file that came after it: None where it is the log still.

        The current one is opened before the others are looked for: one that is put aside meanwhile is among them then.
        """
        current = _opened(self._path)
        if current is not None and os.path.sameopenfile(current.fileno(), file.fileno()):
            current.close()
            return None
        return self._first(_after(file, put_aside(self._path)), current)

    @staticmethod
    def _first(files: Iterable[PutAside], current: FileIO | None) -> FileIO | None:
        """The first of the files that is still there, else the current one."""
        for file in files:
            if opened := _opened(file.path):
                if current is not None:
                    current.close()
                return opened
        return current


def _after(file: FileIO, files: list[PutAside]) -> list[PutAside]:
    """Those that came after `file`, by their names; where it is gone, those put aside since it was last written to."""
    stat = os.fstat(file.fileno())
    for index, other in enumerate(files):
        try:
            if os.path.samestat(other.path.stat(), stat):
                return files[index + 1 :]
        except FileNotFoundError:
            continue
    written = int(stat.st_mtime * SECOND)
    return [other for other in files if other.reaches(written)]


def _opened(path: Path) -> FileIO | None:
    try:
        return FileIO(path)
    except FileNotFoundError:
        return None
