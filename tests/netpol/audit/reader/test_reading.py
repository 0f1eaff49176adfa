"""What a line holds is read whatever stands beside it, and what is not asked for is counted."""

from __future__ import annotations

import pytest
from audit_records import allowance, at, lines, record

from netpol.audit.reader.lines import MOST_LINE_BYTES
from netpol.audit.reader.reading import Entry, Missing, chosen, entry_of
from netpol.audit.reader.selection import Selection
from netpol.audit.record import Action, Record, encode

REFUSAL = record()
LINE = encode(REFUSAL)


@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"  ",
        b"2026-01-02T03:04:05.678901234Z ",
        b"[pod/netpol-x7/netpol] ",
        b"<134>1 2026-01-02T03:04:05.678901Z n1 netpol 7 deny - ",
    ],
)
@pytest.mark.parametrize("after", [b"", b"\n", b"\r\n"])
def test_a_record_is_read_whatever_stands_before_it(before: bytes, after: bytes) -> None:
    assert entry_of(before + LINE + after) == Entry(LINE, REFUSAL)


def test_a_line_as_long_as_one_may_be_is_read() -> None:
    assert entry_of(LINE.rjust(MOST_LINE_BYTES)) == Entry(LINE, REFUSAL)


def test_what_a_later_version_says_is_kept() -> None:
    later = LINE[:-1] + b',"cluster":{"name":"east"}}'
    assert entry_of(later) == Entry(later, REFUSAL)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"level=info the firewall is in force",
        b"{}",
        b'{"ts": 1}',
        b"\xff\xfe{\xff",
        LINE[:-1],
        LINE + b" and more",
        LINE.replace(b'"deny"', b'"forget"'),
        LINE.replace(b'"last":"2026-01-02T', b'"last":"yesterday '),
        LINE + b" " * (MOST_LINE_BYTES + 1 - len(LINE)),
        LINE[:-1] + b',"deep":' + b"[" * 100_000,
    ],
)
def test_a_line_that_holds_no_record_is_none(line: bytes) -> None:
    assert entry_of(line) is None


def test_the_records_asked_for_are_given_and_the_rest_is_counted() -> None:
    records = [record(1, lost=5), allowance(2, lost=7), record(3), Record.of_lost(record(4).ts, "n1", 30)]
    missing = Missing()
    text = b"it starts\n\n" + lines(records) + b"it ends\n"
    entries = list(chosen(text.splitlines(), Selection(actions=frozenset({Action.DENY})), missing))
    assert [entry.record for entry in entries] == [records[0], records[2]]
    assert missing == Missing(others=2, lost=42)


def test_what_is_too_old_is_neither_given_nor_are_its_losses() -> None:
    missing = Missing()
    text = lines([record(1, lost=5), record(3, lost=7)])
    (entry,) = chosen(text.splitlines(), Selection(since=at(2)), missing)
    assert (entry.record.lost, missing) == (7, Missing(lost=7))
