from __future__ import annotations

from pathlib import Path

import pytest
from audit_records import allowance, at, lines, put_aside, record, write

from netpol.audit.reader import reading
from netpol.audit.reader.reading import Entry, PutAside, Tally, chosen, entry_of
from netpol.audit.reader.selection import Selection
from netpol.audit.record import Action, Record, encode
from netpol.model.moments import parse_rfc3339

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
        LINE[:-1] + b',"deep":' + b"[" * 100_000,
    ],
)
def test_a_line_that_holds_no_record_is_none(line: bytes) -> None:
    assert entry_of(line) is None


def test_the_records_asked_for_are_given_and_the_rest_is_counted() -> None:
    records = [record(1, lost=5), allowance(2, lost=7), record(3), Record.of_lost(record(4).ts, "n1", 30)]
    tally = Tally()
    text = b"it starts\n\n" + lines(records) + b"it ends\n"
    entries = list(chosen(text.splitlines(), Selection(actions=frozenset({Action.DENY})), tally))
    assert [entry.record for entry in entries] == [records[0], records[2]]
    assert tally == Tally(others=2, lost=42)


def test_what_is_too_old_is_neither_given_nor_are_its_losses() -> None:
    tally = Tally()
    text = lines([record(1, lost=5), record(3, lost=7)])
    (entry,) = chosen(text.splitlines(), Selection(since=at(2)), tally)
    assert (entry.record.lost, tally) == (7, Tally(lost=7))


def test_files_that_were_put_aside_are_found_oldest_first(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    times = ("2026-01-02T03-04-05.678", "2025-12-31T23-59-59.999", "2026-01-02T03-04-05.679")
    for time in times:
        put_aside(write(log, REFUSAL), time)
    for other in ("audit.log", "audit.log.1", "audit-.log", "audit-2026.log", "other-2026-01-02T03-04-05.678.log"):
        (tmp_path / other).touch()
    found = reading.put_aside(log)
    assert [file.path.name for file in found] == [f"audit-{time}.log" for time in (times[1], times[0], times[2])]
    assert found[1].until == parse_rfc3339("2026-01-02T03:04:05.678Z")


def test_a_name_without_a_suffix_and_one_with_odd_characters_are_names_too(tmp_path: Path) -> None:
    for name in ("audit", "a(1).b.log"):
        aside = put_aside(write(tmp_path / name, REFUSAL), "2026-01-02T03-04-05.678")
        assert [file.path for file in reading.put_aside(tmp_path / name)] == [aside]


def test_there_are_none_in_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert reading.put_aside(tmp_path / "missing" / "audit.log") == []


def test_a_file_reaches_to_the_end_of_the_millisecond_in_its_name() -> None:
    file = PutAside(1_700_000_000_005_000, Path("audit"))
    assert file.reaches(1_700_000_000_005_999)
    assert not file.reaches(1_700_000_000_006_000)
