"""Records of the audit log, and what they come to, as rows for people."""

from __future__ import annotations

from collections.abc import Iterable

from netpol.audit.reader.summary import Total
from netpol.audit.reader.wording import end_words, grounds, port_words, why
from netpol.audit.record import Action, Record
from netpol.command.aligned import Aligned, Cell, Column, Fit, Row
from netpol.command.look import Look, Paint
from netpol.model.moments import SECOND, Moment, parse_rfc3339

_PAINTS = {
    Action.ALLOW: Paint.ALLOWED,
    Action.DENY: Paint.REFUSED,
    Action.WOULD_DENY: Paint.WOULD_REFUSE,
    Action.UNKNOWN: Paint.FAINT,
}

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def record_table(look: Look) -> Aligned:
    """The columns for rows of `record_row`."""
    names = (Column("SUBJECT", Fit.SHORTENED), Column("PEER", Fit.SHORTENED))
    headings = (Column("TIME (UTC)"), Column("ACTION"), Column("DIR"), *names, Column("PORT"), Column("COUNT"))
    return Aligned(headings, "WHY", look)


def record_row(record: Record) -> Row:
    """The record: when its last packet was, and, where it is of several, how many there were in how long."""
    cells = (
        Cell(_moment(record.last)),
        Cell(record.action.value, _PAINTS[record.action]),
        Cell(record.direction or "-"),
        Cell(end_words(record.subject)),
        Cell(end_words(record.peer)),
        Cell(port_words(record)),
        Cell(_count(record)),
    )
    return Row(cells, why(record))


def total_table(look: Look) -> Aligned:
    """The columns for rows of `total_row`."""
    names = (Column("SUBJECT", Fit.SHORTENED), Column("PEER", Fit.SHORTENED))
    headings = (Column("PACKETS", Fit.RIGHT), Column("ACTION"), Column("DIR"), *names, Column("PORT"))
    return Aligned(headings, "WHEN (UTC) AND WHY", look)


def total_row(total: Total) -> Row:
    """The total: between which packets, of how many pods, and by which policies."""
    cells = (
        Cell(str(total.packets)),
        Cell(total.action.value, _PAINTS[total.action]),
        Cell(total.direction or "-"),
        Cell(total.subject),
        Cell(total.peer),
        Cell(total.port),
    )
    when = dict.fromkeys((_moment(total.first), _moment(total.last)))
    return Row(cells, "; ".join((" to ".join(when), *_pods(total), *grounds(total))))


def _pods(total: Total) -> Iterable[str]:
    """How many pods the ends were, where it is not one."""
    counts = ((total.subject_pods, "subjects"), (total.peer_pods, "peers"))
    return [f"{number} pods as {role}" for number, role in counts if number > 1]


def _moment(time: str) -> str:
    """The time to the second, without the year: logs are not kept for that long.

    >>> _moment("2026-01-02T03:04:05.678901Z")
    '01-02 03:04:05'
    """
    return time[5:19].replace("T", " ")


def _count(record: Record) -> str:
    if record.count == 1:
        return ""
    return f"{record.count} in {span(parse_rfc3339(record.last) - parse_rfc3339(record.first))}"


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
