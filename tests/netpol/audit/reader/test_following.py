"""A log is read whole and once, whatever becomes of its files between two looks at it."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import pytest
from audit_records import put_aside
from hypothesis import given
from hypothesis import strategies as st

from netpol.audit import rotation
from netpol.audit.reader import following
from netpol.audit.reader.following import FollowedLog
from netpol.audit.reader.lines import MOST_LINE_BYTES
from netpol.audit.rotation import PutAside
from netpol.model.moments import Moment, parse_rfc3339

FIRST, SECOND, THIRD = (f"2026-01-02T03-04-0{second}.000" for second in (1, 2, 3))


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


class Reader:
    """What a followed log gives, as text."""

    def __init__(self, path: Path, since: Moment) -> None:
        self.log = FollowedLog(path, since)

    def read(self) -> list[str]:
        return [line.decode() for line in self.log.new_lines()]


@pytest.fixture(name="reader")
def _reader(path: Path) -> Iterator[Reader]:
    """Of all the files there are."""
    reader = Reader(path, 0)
    yield reader
    reader.log.close()


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_what_is_there_is_read_then_what_is_new(path: Path, reader: Reader) -> None:
    append(path, "a\nb\n")
    assert reader.read() == ["a", "b"]
    assert reader.read() == []
    append(path, "c\n")
    assert reader.read() == ["c"]


def test_a_line_waits_for_its_end(path: Path, reader: Reader) -> None:
    append(path, "a\nhal")
    assert reader.read() == ["a"]
    append(path, "f")
    assert reader.read() == []
    append(path, " a line\nb")
    assert reader.read() == ["half a line"]
    assert (reader.log.begun_line(), reader.log.begun_line()) == (b"b", b"")


def test_a_line_longer_than_what_is_read_at_once_is_one(path: Path, reader: Reader) -> None:
    text = "x" * 200_000
    append(path, f"{text}\n{text}\n")
    assert reader.read() == [text, text]


def test_a_line_that_does_not_end_takes_no_more_memory_than_a_line_may(path: Path, reader: Reader) -> None:
    with path.open("wb") as file:
        file.truncate(64 * MOST_LINE_BYTES)
    tracemalloc.start()
    try:
        assert reader.read() == []
        assert tracemalloc.get_traced_memory()[1] < 4 * MOST_LINE_BYTES
    finally:
        tracemalloc.stop()
    append(path, "x\na\n")
    cut, after = reader.read()
    assert (len(cut), after) == (MOST_LINE_BYTES + 1, "a")


def test_a_log_that_does_not_exist_yet_is_waited_for(path: Path, reader: Reader) -> None:
    assert (reader.read(), reader.log.found) == ([], False)
    append(path, "a\n")
    assert (reader.read(), reader.log.found) == (["a"], True)


def test_a_log_whose_directory_does_not_exist_yet_is_waited_for(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "log" / "audit.log", 0)
    assert reader.read() == []
    (tmp_path / "log").mkdir()
    append(tmp_path / "log" / "audit.log", "a\n")
    assert reader.read() == ["a"]
    reader.log.close()


def test_rotation_loses_nothing_of_the_old_file_and_nothing_of_the_new(path: Path, reader: Reader) -> None:
    append(path, "a\n")
    assert reader.read() == ["a"]
    append(path, "b\n")
    put_aside(path, FIRST)
    append(path, "c\n")
    assert reader.read() == ["b", "c"]


def test_the_old_file_goes_on_until_there_is_a_new_one(path: Path, reader: Reader) -> None:
    append(path, "a\n")
    assert reader.read() == ["a"]
    aside = put_aside(path, FIRST)
    append(aside, "b\n")
    assert reader.read() == ["b"]
    append(aside, "c\n")
    append(path, "d\n")
    assert reader.read() == ["c", "d"]


def test_files_that_came_and_went_between_two_looks_are_read(path: Path, reader: Reader) -> None:
    append(path, "a\n")
    assert reader.read() == ["a"]
    for time, text in ((FIRST, "b\n"), (SECOND, "c\n"), (THIRD, "d\n")):
        put_aside(path, time)
        append(path, text)
    assert reader.read() == ["b", "c", "d"]
    append(path, "e\n")
    assert reader.read() == ["e"]


def test_files_that_came_after_one_that_was_removed_are_read(path: Path, reader: Reader) -> None:
    append(path, "a\n")
    written = parse_rfc3339("2026-01-02T03:04:01.500Z") * 1000
    os.utime(path, ns=(written, written))
    put_aside(path, FIRST)
    append(path, "b\n")
    os.utime(path, ns=(written, written))
    assert reader.read() == ["a", "b"]
    put_aside(path, SECOND).unlink()
    append(path, "c\n")
    put_aside(path, THIRD)
    append(path, "d\n")
    # FIRST is still there, and was read.
    assert reader.read() == ["c", "d"]


def test_a_line_that_was_never_ended_ends_with_its_file(path: Path, reader: Reader) -> None:
    append(path, "a\nhalf")
    assert reader.read() == ["a"]
    put_aside(path, FIRST)
    append(path, "b\n")
    assert reader.read() == ["half", "b"]


def test_a_log_that_was_closed_is_read_from_its_beginning(path: Path, reader: Reader) -> None:
    append(path, "a\nhalf")
    assert reader.read() == ["a"]
    reader.log.close()
    append(path, " a line\n")
    assert reader.read() == ["a", "half a line"]


@pytest.mark.parametrize("more", ["", "b\n"])
def test_a_log_that_was_emptied_is_read_from_its_beginning(path: Path, reader: Reader, more: str) -> None:
    append(path, "a\nlong\nhalf")
    assert reader.read() == ["a", "long"]
    path.write_text(more)
    assert reader.read() == more.split()
    append(path, "c\n")
    assert reader.read() == ["c"]


def test_a_log_that_was_removed_is_read_on_when_it_is_there_again(path: Path, reader: Reader) -> None:
    append(path, "a\n")
    assert reader.read() == ["a"]
    path.unlink()
    assert reader.read() == []
    append(path, "b\n")
    assert reader.read() == ["b"]


def test_it_begins_with_the_oldest_file_that_the_time_reaches(path: Path) -> None:
    for time, text in ((FIRST, "a\n"), (SECOND, "b\n"), (THIRD, "c\n")):
        append(path, text)
        put_aside(path, time)
    append(path, "d\n")
    for since, read in (("01.000", "abcd"), ("01.002", "bcd"), ("02.500", "cd"), ("04.000", "d")):
        reader = Reader(path, parse_rfc3339(f"2026-01-02T03:04:{since}Z"))
        assert "".join(reader.read()) == read
        reader.log.close()


def test_files_put_aside_are_read_where_there_is_no_log_just_then(path: Path, reader: Reader) -> None:
    append(path, "a\n")
    put_aside(path, FIRST)
    append(path, "b\n")
    put_aside(path, SECOND)
    assert reader.read() == ["a", "b"]
    append(path, "c\n")
    assert reader.read() == ["c"]


@pytest.mark.parametrize("reads_before", [False, True])
def test_a_log_that_is_put_aside_while_its_files_are_listed_is_read_once(
    path: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch, *, reads_before: bool
) -> None:
    """The reader has opened the log by then, and finds it once more among those put aside."""
    append(path, "a\n")
    if reads_before:
        assert reader.read() == ["a"]
        put_aside(path, FIRST)
        append(path, "b\n")
    rotations = iter([SECOND])

    def list_later(log: Path) -> list[PutAside]:
        for time in rotations:
            put_aside(log, time)
            append(log, "z\n")
        return real(log)

    real = rotation.put_aside
    monkeypatch.setattr(following, "put_aside", list_later)
    assert reader.read() == (["b", "z"] if reads_before else ["a", "z"])


def test_what_is_written_just_before_rotation_is_read(
    path: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader was at the end of the file already, and had not seen yet that it is no more the log."""
    append(path, "a\n")
    assert reader.read() == ["a"]
    rotations = iter([FIRST])

    def open_later(opened: Path) -> FileIO | None:
        for time in rotations:
            append(path, "b\n")
            put_aside(path, time)
            append(path, "c\n")
        return real(opened)

    real = following._opened
    monkeypatch.setattr(following, "_opened", open_later)
    assert reader.read() == ["b", "c"]


def test_a_file_that_is_removed_while_it_is_about_to_be_read_is_passed_over(
    path: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(path, "a\n")
    aside = put_aside(path, FIRST)
    append(path, "b\n")
    listed = rotation.put_aside(path)
    aside.unlink()
    monkeypatch.setattr(following, "put_aside", lambda _: listed)
    assert reader.read() == ["b"]
    path.rename(path.with_name("elsewhere"))
    append(path, "c\n")
    assert reader.read() == ["c"]


STEPS = st.lists(st.sampled_from(["write", "half", "rotate", "read"]), max_size=30)


@given(STEPS)
def test_every_line_is_read_once_and_in_order(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    path = tmp_path_factory.mktemp("log") / "audit.log"
    reader = Reader(path, 0)
    read: list[str] = []
    for number, step in enumerate((*steps, "read")):
        match step:
            case "read":
                read += reader.read()
            case "rotate" if path.exists() and not path.read_bytes().endswith(b"x"):
                put_aside(path, f"2026-01-02T03-04-05.{number:03}")
            case "half":
                append(path, "x")
            case "write":
                append(path, f"{number}\n")
    rest = reader.log.begun_line().decode()
    reader.log.close()
    written = "".join(file.read_text() for file in sorted(path.parent.glob("audit-*"))) + (
        path.read_text() if path.exists() else ""
    )
    assert "".join(f"{line}\n" for line in read) + rest == written
