"""What a log's lines hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from netpol.audit.reader.lines import MOST_LINE_BYTES
from netpol.audit.reader.selection import Selection
from netpol.audit.record import Record, decode
from netpol.model.moments import parse_rfc3339


class Entry(NamedTuple):
    """A record, and the JSON it was read from, which may say more than this version knows of."""

    text: bytes
    record: Record


@dataclass(slots=True)
class Missing:
    """What the records that were asked for leave out."""

    others: int = 0
    """Lines that hold no record."""
    lost: int = 0
    """Packets of that time that are in no record, whatever was asked for: nobody knows whose they were."""


def chosen(lines: Iterable[bytes], selection: Selection, missing: Missing) -> Iterator[Entry]:
    """The records of these lines that are asked for; `missing` counts the rest."""
    for line in filter(bytes.strip, lines):
        entry = entry_of(line)
        if entry is None:
            missing.others += 1
        elif selection.reaches(entry.record):
            missing.lost += entry.record.lost
            if selection.chooses(entry.record):
                yield entry


def entry_of(line: bytes) -> Entry | None:
    """The record that the line ends with, or None where it holds none.

    What stands before it is passed over: `kubectl logs --timestamps` and `--prefix` put something there, and syslog.
    """
    if len(line) > MOST_LINE_BYTES:
        return None
    text = line[max(line.find(b"{"), 0) :]
    try:
        entry = Entry(text.strip(), decode(text))
        parse_rfc3339(entry.record.first)
        parse_rfc3339(entry.record.last)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return entry
