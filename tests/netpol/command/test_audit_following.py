"""Records are given as they are written; what happens between two looks at the log is told step by step."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from audit_records import allowance, at, lines, put_aside, record, write

from netpol.audit.record import Record
from netpol.command import audit_following
from netpol.command.audit_following import FIRST_SHOWN, followed_entries
from netpol.command.audit_selection import add_selection_arguments
from netpol.model.moments import rfc3339

Step = Callable[[], object]


class Ended(Exception):
    """There are no steps any more."""


@pytest.fixture(name="log")
def _log(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


def followed(path: Path, *words: str, steps: list[Step]) -> Iterator[list[Record]]:
    """What is given, where one of the steps is done whenever there is nothing new."""
    parser = argparse.ArgumentParser()
    add_selection_arguments(parser)
    remaining = iter(steps)

    def pause() -> None:
        for step in remaining:
            step()
            return
        raise Ended

    arguments = parser.parse_args(["--audit-log-path", str(path), *words])
    try:
        for entries in followed_entries(arguments, pause):
            yield [entry.record for entry in entries]
    except Ended:
        return


def test_records_are_given_as_they_come(log: Path) -> None:
    write(log, record(0))
    steps: list[Step] = [
        lambda: write(log, record(1), allowance(2), record(3)),
        lambda: None,
        lambda: write(log, record(4)),
    ]
    given = list(followed(log, "--action", "deny", steps=steps))
    assert given == [[record(0)], [record(1)], [record(3)], [record(4)]]


def test_it_goes_on_across_rotation(log: Path) -> None:
    write(log, record(0))

    def rotate() -> None:
        write(log, record(1))
        put_aside(log, "2026-01-02T03-04-06.900")
        write(log, record(2))

    assert list(followed(log, steps=[rotate, lambda: log.write_bytes(b""), lambda: write(log, record(3))])) == [
        [record(0)],
        [record(1)],
        [record(2)],
        [record(3)],
    ]


def test_the_last_records_of_the_log_come_first(log: Path) -> None:
    put_aside(write(log, record(0)), "2026-01-02T03-04-06.000")
    records = [record(second) for second in range(1, FIRST_SHOWN + 3)]
    write(log, *records)
    assert list(followed(log, steps=[])) == [records[-FIRST_SHOWN:]]


def test_where_a_time_is_asked_for_all_since_then_come_first(log: Path) -> None:
    put_aside(write(log, record(0), record(1)), "2026-01-02T03-04-07.000")
    write(log, *(record(second) for second in range(2, 20)))
    given = list(followed(log, "--since", rfc3339(at(1)), steps=[lambda: write(log, record(20))]))
    assert given == [[record(second)] for second in range(1, 21)]


def test_a_log_that_does_not_exist_yet_is_waited_for_and_named(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(followed(log, steps=[lambda: write(log, record(0))])) == [[], [record(0)]]
    assert capsys.readouterr().err == f"netpol: there is no {log} yet\n"


def test_what_is_lost_is_said_when_it_is_known_and_other_lines_are_not(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(log, record(0, lost=30))
    said: list[str] = []

    def append(lost: int) -> None:
        said.append(capsys.readouterr().err)
        write(log, record(1, lost=lost))
        with log.open("a") as file:
            file.write("other\n")

    list(followed(log, steps=[lambda: append(5), lambda: append(0), lambda: append(7)]))
    said.append(capsys.readouterr().err)
    line = "netpol: packets of that time that are in no record: {}\n"
    # What was lost before the first was shown is history, as records before those are.
    assert said == ["", line.format(5), "", line.format(7)]


def test_standard_input_is_followed_to_its_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [record(second, lost=second % 2) for second in range(FIRST_SHOWN + 3)]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"it starts\n" + lines(records) + b"it ends\n")))
    assert list(followed(Path("-"), steps=[])) == [[some] for some in records]
    said = capsys.readouterr().err.splitlines()
    assert said[:-1] == ["netpol: packets of that time that are in no record: 1"] * 6
    assert said[-1] == "netpol: lines that hold no record: 2"


def test_a_pause_ends_where_nobody_reads_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        audit_following.pause()
        os.close(reader)
        with pytest.raises(BrokenPipeError):
            audit_following.pause()
