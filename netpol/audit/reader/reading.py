"""What a log's lines hold, and which files it consists of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from netpol.audit.reader.selection import Selection
from netpol.audit.record import Record, decode
from netpol.model.moments import Moment, parse_rfc3339

_MILLISECOND: Moment = 1000


class PutAside(NamedTuple):
    """A file that was the log until that moment, which its name states to the millisecond; in order of age."""

    until: Moment
    path: Path

    def reaches(self, since: Moment) -> bool:
        """True where a record in it may be that recent."""
        return self.until + _MILLISECOND > since


class Entry(NamedTuple):
    """A record, and the JSON it was read from, which may say more than this version knows of."""

    text: bytes
    record: Record


@dataclass(slots=True)
class Tally:
    """What was met beside the records that were asked for."""

    others: int = 0
    """Lines that hold no record."""
    lost: int = 0
    """Packets of that time that are in no record, whatever was asked for: nobody knows whose they were."""


def chosen(lines: Iterable[bytes], selection: Selection, tally: Tally) -> Iterator[Entry]:
    """The records of these lines that are asked for; `tally` counts the rest."""
    for line in filter(bytes.strip, lines):
        entry = entry_of(line)
        if entry is None:
            tally.others += 1
        elif selection.reaches(entry.record):
            tally.lost += entry.record.lost
            if selection.chooses(entry.record):
                yield entry


def entry_of(line: bytes) -> Entry | None:
    """The record that the line ends with, or None where it holds none.

    What stands before it is passed over: `kubectl logs --timestamps` and `--prefix` put something there, and syslog.
    """
    text = line[max(line.find(b"{"), 0) :]
    try:
        entry = Entry(text.strip(), decode(text))
        parse_rfc3339(entry.record.first)
        parse_rfc3339(entry.record.last)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return entry


def put_aside(path: Path) -> list[PutAside]:
    """The files that the log at `path` was before, which rotation left beside it, oldest first."""
    name = re.compile(rf"{re.escape(path.stem)}-(?P<until>[^/]+){re.escape(path.suffix)}")
    found = ((name.fullmatch(file.name), file) for file in (path.parent.iterdir() if path.parent.is_dir() else ()))
    dated = ((_moment(match["until"]), file) for match, file in found if match)
    return sorted(PutAside(until, file) for until, file in dated if until is not None)


def _moment(text: str) -> Moment | None:
    """The moment that the name of a file states, to the millisecond; None where it is another file's name."""
    try:
        parsed = datetime.strptime(text, "%Y-%m-%dT%H-%M-%S.%f")
    except ValueError:
        return None
    return parse_rfc3339(parsed.replace(tzinfo=UTC).isoformat())
