"""Structured logs: one line a record, a message and then `key=value` fields.

    2026-11-23T09:28:36.123Z INFO  NetworkPolicy changed name=web/allow done="2 members added" ms=3.1

Whatever a value holds, the record stays one line, and a line says exactly what the value was.
"""

from __future__ import annotations

import enum
import io
import logging
import re
import select
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

from netpol.errors import NetpolError

LONGEST_TEXT = 2_000
"""Characters of a message or value that are written; an annotation alone may hold 262,144."""

LONGEST_LINE = 4_000
"""Bytes. A pipe that has room for anything has room for PIPE_BUF, 4,096, and takes so many at once or not at all."""

PATIENCE_SECONDS = 1.0
"""How long a reader may take to make room, before lines are lost instead of the agent held up."""

_ROOT = "netpol"
_LEVELS = {logging.WARNING: "WARN"}
_FIELDS = "netpol_fields"
_PLAIN = re.compile(r'[^\s"=\\]+')
_SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Log:
    """One part's log, for any number of threads; the part is named as its module is: `source.kube`, `control`."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(f"{_ROOT}.{name}")

    def debug(self, message: str, /, **fields: object) -> None:
        """A line that only `-v 1` and more shows."""
        self._write(logging.DEBUG, message, fields)

    def info(self, message: str, /, **fields: object) -> None:
        """A line of something done."""
        self._write(logging.INFO, message, fields)

    def warning(self, message: str, /, **fields: object) -> None:
        """A line of something that somebody may have to mend, while the agent goes on."""
        self._write(logging.WARNING, message, fields)

    def error(self, message: str, /, **fields: object) -> None:
        """A line of something that the agent wanted to do and could not."""
        self._write(logging.ERROR, message, fields)

    def exception(self, message: str, /, **fields: object) -> None:
        """As `error`, with the exception being handled; one that nobody expects brings its traceback."""
        error = sys.exception()
        fields["error"] = error
        if not isinstance(error, NetpolError | OSError):
            fields["trace"] = "".join(traceback.format_exception(error)).rstrip()[-LONGEST_TEXT:]
        self._write(logging.ERROR, message, fields)

    def _write(self, level: int, message: str, fields: Mapping[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", message, extra={_FIELDS: fields})


def configure(verbosity: int, stream: TextIO) -> None:
    """From here on records go to `stream`: of level info and above, or all where `verbosity` is at least 1.

    Other libraries' warnings take the same form; the rest of what they say is left out.
    """
    everyone = logging.getLogger()
    everyone.handlers = [*(each for each in everyone.handlers if not isinstance(each, _Lines)), _Lines(stream)]
    everyone.setLevel(logging.WARNING)
    logging.getLogger(_ROOT).setLevel(logging.DEBUG if verbosity >= 1 else logging.INFO)


class _Lines(logging.Handler):
    """Writes a line for each record; where the stream refuses it, or its reader hangs, the line is lost and counted."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, and beside it how many were lost since the last one that was written."""
        lost = f" lines_lost={self._lost}" if self._lost else ""
        try:
            if not self._has_room():
                self._lost += 1
                return
            self._stream.write(f"{line(record)}{lost}\n")
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: the stream is closed
            self._lost += 1
        else:
            self._lost = 0

    def _has_room(self) -> bool:
        """False where a write would wait for the reader; who has let one line be lost is not waited for again."""
        room = select.poll()
        try:
            room.register(self._stream.fileno(), select.POLLOUT)
        except io.UnsupportedOperation:
            return True  # text in memory
        return bool(room.poll(0 if self._lost else PATIENCE_SECONDS * 1000))


def line(record: logging.LogRecord) -> str:
    """The record's line, without its end."""
    moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fields: Mapping[str, object] = getattr(record, _FIELDS, {})
    if record.exc_info and record.exc_info[1]:
        fields = {**fields, "error": record.exc_info[1]}
    words = [moment, f"{_LEVELS.get(record.levelno, record.levelname):<5}", _escaped(_cut(record.getMessage()), "\\")]
    encoded = " ".join([*words, *(f"{key}={rendered(value)}" for key, value in fields.items())]).encode()
    return encoded.decode() if len(encoded) <= LONGEST_LINE else f"{encoded[:LONGEST_LINE].decode(errors='ignore')}..."


def rendered(value: object) -> str:
    r"""The value as it stands behind `key=`: quoted where it is empty or a blank, a quote or a sign needs it.

    >>> print(rendered("web/allow"), rendered(3.14159), rendered(True), rendered(("a", "b")), rendered("no such\tkey"))
    web/allow 3.142 true a,b "no such\tkey"
    """
    text = _cut(_text(value))
    return text if _PLAIN.fullmatch(text) and text.isprintable() else f'"{_escaped(text)}"'


def _text(value: object) -> str:
    match value:
        case bool() | None:
            return str(value).lower()
        case float():
            return f"{value:.3f}".rstrip("0").rstrip(".")
        case enum.Enum():
            return str(value.value)
        case BaseException() if not isinstance(value, NetpolError):
            return f"{type(value).__name__}: {value}"
        case list() | tuple() if type(value).__str__ is object.__str__:  # a named one may say how it is written
            return ",".join(map(_text, value))
        case _:
            return str(value)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}..."


def _escaped(text: str, special: str = '"\\') -> str:
    return "".join(
        each if each.isprintable() and each not in special else _SHORT_ESCAPES.get(each) or _code(each) for each in text
    )


def _code(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
