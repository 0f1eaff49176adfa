"""Records as lines of a file that is put aside before it grows too large."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from netpol.audit.outlets.stream import written_of
from netpol.audit.record import Record, encode
from netpol.audit.rotation import MILLISECOND, aside, put_aside
from netpol.model.moments import SECOND, Moment
from netpol.settings import RecordFile
from netpol.telemetry.logs import Log

FILE_MODE = 0o600
DIRECTORY_MODE = 0o750

_DAY: Moment = 24 * 60 * 60 * SECOND

log = Log("audit.file")


class RotatedFile:
    """Appends to the file of that name, whichever it is: one that was moved or removed by others is made anew.

    What is no regular file, such as a FIFO, is only written to. `now` is the wall's clock.
    """

    def __init__(self, settings: RecordFile, now: Callable[[], Moment]) -> None:
        self._settings = settings
        self._path = settings.path
        self._now = now
        self._file: int | None = None

    def write(self, record: Record) -> None:
        """The record is the file's last line, or no part of it is in the file."""
        line = b"%b\n" % encode(record)
        try:
            file = self._opened()
            if self._has_no_room(os.fstat(file), len(line)):
                self._put_aside()
                file = self._opened()
            _append(file, line)
        except OSError:
            # What a line that could not be taken back looks like is seen when the file is opened again.
            self.close()
            raise

    def close(self) -> None:
        """The file is closed; the next record opens it again."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _opened(self) -> int:
        """The file that bears the name, with every line of it ended."""
        if self._file is not None and not self._is_current(self._file):
            self.close()
        if self._file is None:
            self._path.parent.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            status = os.fstat(self._file)
            if stat.S_ISREG(status.st_mode):
                if status.st_size and _last_byte(self._path) != b"\n":
                    os.write(self._file, b"\n")
                self._remove_old()
        return self._file

    def _is_current(self, file: int) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(file))
        except FileNotFoundError:
            return False

    def _has_no_room(self, status: os.stat_result, more_bytes: int) -> bool:
        """True where the file would exceed its bound; a record that exceeds it alone has a file alone."""
        return stat.S_ISREG(status.st_mode) and 0 < status.st_size > self._settings.most_bytes - more_bytes

    def _put_aside(self) -> None:
        """The file has another name, that no file had; its own is free."""
        moment = self._now()
        while (place := aside(self._path, moment)).exists():
            moment += MILLISECOND
        self._path.rename(place)
        self.close()

    def _remove_old(self) -> None:
        """Of the files put aside, so many are left and none is older than allowed; a failure does not stop the log."""
        most, oldest = self._settings.most_backups, self._now() - self._settings.most_days * _DAY
        try:
            files = put_aside(self._path)
            kept = files[-most:] if most else files
            for file in files:
                if file not in kept or (self._settings.most_days and file.until < oldest):
                    file.path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("old files of the audit log cannot be removed", reason=error)


def _append(file: int, line: bytes) -> None:
    """The line is at the end of the file, whole; where that fails, none of it is, if the file can be cut at all."""
    before = os.fstat(file)
    rest = memoryview(line)
    try:
        while rest:
            rest = rest[written_of(file, rest) :]
    except OSError:
        with suppress(OSError):
            if os.fstat(file).st_size > before.st_size:  # else nothing was written, or others emptied the file
                os.ftruncate(file, before.st_size)
        raise


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)
