"""Records of the audit log, and what they come to, as rows for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from netpol.audit.reader.summary import Total
from netpol.audit.reader.wording import end_words, grounds_words, port_words, why
from netpol.audit.record import Action, Record
from netpol.command.aligned import UNBOUNDED, Aligned, Cell, Column, Fit, Row
from netpol.command.look import Look, Paint
from netpol.model.moments import SECOND, Moment, parse_rfc3339

_PAINTS = {
    Action.ALLOW: Paint.ALLOWED,
    Action.DENY: Paint.REFUSED,
    Action.WOULD_DENY: Paint.WOULD_REFUSE,
    Action.UNKNOWN: Paint.FAINT,
}

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


class RecordTable:
    """Records in rows, below headings that state their day; where nobody looks at those, each row has its own.

    A line that is picked out of what goes to no terminal has lost its heading.
    """

    def __init__(self, look: Look) -> None:
        self._look = look
        self._day: str | None = None
        self._rows = _record_rows("", look)

    def lines(self, records: Sequence[Record]) -> list[str]:
        """The records' rows, below the headings where these were not shown yet, or are others by now."""
        days = {_day(record.last) for record in records}
        day = days.pop() if len(days) == 1 and self._look.width < UNBOUNDED else ""
        if records and day != self._day:
            self._day, self._rows = day, _record_rows(day, self._look)
        return self._rows.lines([record_row(record, day) for record in records])


def record_row(record: Record, day: str = "") -> Row:
    """The record: when its last packet was, and, where it is of several, how many there were in how long.

    The day is left out where it is this one.
    """
    several = record.count > 1
    cells = (
        Cell(_shown(record.last).removeprefix(f"{day}T")),
        Cell(record.action.value, _PAINTS[record.action]),
        Cell(record.direction or "-"),
        Cell(end_words(record.subject)),
        Cell(end_words(record.peer)),
        Cell(port_words(record)),
        Cell(str(record.count) if several else ""),
    )
    length = span(parse_rfc3339(record.last) - parse_rfc3339(record.first))
    return Row(cells, "; ".join(filter(None, (f"in {length}" if several else "", why(record)))))


def _record_rows(day: str, look: Look) -> Aligned:
    """The columns for rows of `record_row` on that day."""
    return Aligned(
        (
            Column(day or "TIME"),
            Column("ACTION"),
            Column("DIR", needed=False),
            Column("SUBJECT", Fit.SHORTENED),
            Column("PEER", Fit.SHORTENED),
            Column("PORT"),
            Column("COUNT", Fit.RIGHT, needed=False),
        ),
        "WHY",
        look,
    )


def total_table(look: Look) -> Aligned:
    """The columns for rows of `total_row`."""
    return Aligned(
        (
            Column("PACKETS", Fit.RIGHT),
            Column("ACTION"),
            Column("DIR", needed=False),
            Column("SUBJECT", Fit.SHORTENED),
            Column("PEER", Fit.SHORTENED),
            Column("PORT"),
        ),
        "WHEN AND WHY",
        look,
    )


def total_row(total: Total) -> Row:
    """The total: between which packets, of how many pods, and by which policies."""
    kind = total.kind
    cells = (
        Cell(str(total.packets)),
        Cell(kind.action.value, _PAINTS[kind.action]),
        Cell(kind.direction or "-"),
        Cell(kind.subject),
        Cell(kind.peer),
        Cell(kind.port),
    )
    when = " to ".join(dict.fromkeys((_shown(total.first), _shown(total.last))))
    return Row(cells, "; ".join((when, *_pods(total), *grounds_words(kind, total.policies, total.isolating))))


def _pods(total: Total) -> Iterable[str]:
    """How many pods the ends were, where it is not one."""
    counts = ((total.subject_pods, "subjects"), (total.peer_pods, "peers"))
    return [f"{number} pods as {role}" for number, role in counts if number > 1]


def _shown(time: str) -> str:
    """The time to the second, as `--since` takes it.

    >>> _shown("2026-01-02T03:04:05.678901Z")
    '2026-01-02T03:04:05Z'
    """
    return f"{time[: len('2026-01-02T03:04:05')]}Z"


def _day(time: str) -> str:
    return time.partition("T")[0]


def span(length: Moment) -> str:
    """A length of time in its two largest units, rounded up to seconds, of which it has one at least.

    >>> span(1), span(298_000_000), span(90_000_000_000)
    ('1s', '4m58s', '1d1h')
    """
    seconds = max(1, -(-length // SECOND))
    words = []
    for size, unit in _UNITS:
        number, seconds = divmod(seconds, size)
        if number:
            words.append(f"{number}{unit}")
    return "".join(words[:2])
