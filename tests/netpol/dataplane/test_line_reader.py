"""What a program has worked off is known while it still runs, and what it refuses is not taken for done."""

from __future__ import annotations

import queue
import time
from pathlib import Path

import pytest

from netpol.dataplane.line_reader import LineReader
from netpol.dataplane.tool import Outcome, ToolMissing
from netpol.errors import KernelRefusal

SECONDS = 20.0

NOTING = 'while read -r line; do [ -z "$line" ] || echo "$line" >> "$0"; done; while [ -e "$0.wait" ]; do :; done'
"""Each line that is not empty comes into the file; the end is not before another file is gone."""


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def reader(script: str, *arguments: str, seconds: float = SECONDS) -> LineReader:
    return LineReader(("sh", "-c", script, *arguments), seconds)


@pytest.mark.parametrize("lines", [0, 1, 500, 5000])
def test_the_text_is_worked_off_before_the_program_ends(lines: int, tmp_path: Path) -> None:
    noted, holding = tmp_path / "noted", tmp_path / "noted.wait"
    noted.touch()
    holding.touch()
    text = "".join(f"line {number}\n" for number in range(lines))
    program = reader(NOTING, str(noted))
    assert program.feed(text)
    assert noted.read_text() == text
    ended: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    program.leave(ended.put)
    assert ended.empty()
    holding.unlink()
    assert ended.get(timeout=SECONDS) == Outcome(0, "", "")


def test_texts_follow_each_other(tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    program = reader(NOTING, str(noted))
    for text in ("one\n", "two\n" * 2000):
        assert program.feed(text)
    assert program.end().status == 0
    assert noted.read_text() == "one\n" + "two\n" * 2000


REFUSING = 'while read -r line; do case "$line" in bad*) echo "no: $line" >&2; exit 3; esac; done'


@pytest.mark.parametrize("before", [0, 1, 3000])
@pytest.mark.parametrize("after", [0, 3000])
def test_a_line_that_ends_the_program_is_not_worked_off(before: int, after: int) -> None:
    program = reader(REFUSING)
    assert not program.feed("good\n" * before + "bad one\n" + "good\n" * after)
    assert program.end() == Outcome(3, "", "no: bad one\n")


def test_the_last_line_counts_too() -> None:
    """It may take long, and must not be taken for done while it does."""
    program = reader('while read -r line; do [ "$line" = last ] && { sleep 0.3; exit 5; }; done')
    assert not program.feed("first\nlast\n")
    assert program.end().status == 5


def test_a_program_that_is_killed_has_not_worked_off_its_text() -> None:
    program = reader("read -r line; kill -9 $$")
    assert not program.feed("line\n")
    assert program.end().status == -9


def test_a_program_that_is_stuck_is_killed() -> None:
    started = time.monotonic()
    program = reader("read -r line; exec sleep 100", seconds=0.2)
    with pytest.raises(KernelRefusal, match=r"^sh did not end within 0\.2 s and was killed$"):
        program.feed("line\n" * 5000)
    assert time.monotonic() - started < SECONDS


def test_one_that_does_not_end_is_killed() -> None:
    program = reader("while read -r line; do :; done; exec sleep 100", seconds=0.5)
    assert program.feed("line\n")
    assert program.end().status == -9


def test_much_complaint_does_not_stop_it() -> None:
    program = reader("while read -r line; do head -c 200000 /dev/zero >&2; exit 1; done")
    assert not program.feed("line\n")
    assert len(program.end().complaint) == 200_000


@pytest.mark.parametrize(("name", "refusal"), [("iptables-none-restore", ToolMissing), ("/etc/passwd", KernelRefusal)])
def test_what_cannot_be_started_leaves_nothing_open(name: str, refusal: type[KernelRefusal]) -> None:
    before = open_files()
    with pytest.raises(refusal, match=name):
        LineReader((name,), SECONDS)
    assert open_files() == before


def test_what_ended_leaves_nothing_open() -> None:
    before = open_files()
    program = reader("cat > /dev/null")
    assert program.feed("line\n")
    program.end()
    assert open_files() == before
