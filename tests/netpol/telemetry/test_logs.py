"""Logs: one line a record whatever is in it, levels, and streams that cannot be written."""

from __future__ import annotations

import fcntl
import io
import logging
import os
import re
import select
import time
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.errors import NetpolError
from netpol.model.facts import Key, Kind
from netpol.telemetry.logs import LONGEST_TEXT, PATIENCE_SECONDS, Log, configure, line, rendered

log = Log("tests")

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (?P<level>DEBUG|INFO |WARN |ERROR) (?P<rest>.*)\n")


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    everyone, ours = logging.getLogger(), logging.getLogger("netpol")
    before = everyone.handlers, everyone.level, ours.level
    yield
    everyone.handlers, everyone.level, ours.level = before


def written(stream: io.StringIO) -> list[tuple[str, str]]:
    """Level and the rest of each line; a line of another form fails."""
    lines = stream.getvalue().splitlines(keepends=True)
    found = [LINE.fullmatch(each) for each in lines]
    assert all(found), lines
    return [(each["level"].strip(), each["rest"]) for each in found if each]


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    configure(0, stream)
    return stream


def test_a_record_is_its_message_and_its_fields(stream: io.StringIO) -> None:
    log.info("policy changed", policy="web/allow", sets=2, ms=3.1)

    assert written(stream) == [("INFO", "policy changed policy=web/allow sets=2 ms=3.1")]


def test_debug_is_shown_from_verbosity_one(stream: io.StringIO) -> None:
    log.debug("quiet")
    configure(1, stream)
    log.debug("loud")

    assert written(stream) == [("DEBUG", "loud")]


def test_each_level_has_its_word(stream: io.StringIO) -> None:
    log.warning("a")
    log.error("b")

    assert written(stream) == [("WARN", "a"), ("ERROR", "b")]


def test_a_field_may_be_named_as_an_argument_of_logging(stream: io.StringIO) -> None:
    log.info("read", message="m", name="n", msg="o", args="p", level=1)

    assert written(stream) == [("INFO", "read message=m name=n msg=o args=p level=1")]


def test_a_percent_sign_in_a_message_is_one(stream: io.StringIO) -> None:
    log.info("100 %s of it")

    assert written(stream) == [("INFO", "100 %s of it")]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("web/allow", "web/allow"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "no"', r'"say \"no\""'),
        ("back\\slash", r'"back\\slash"'),
        ("a\nb\r\tc", r'"a\nb\r\tc"'),
        ("\x1b[31mred", r'"\x1b[31mred"'),
        ("\u202egnp", r'"\u202egnp"'),
        ("\ud800", r'"\ud800"'),
        ("\U000e0001", r'"\U000e0001"'),
        ("naïve", "naïve"),
        (None, "none"),
        (True, "true"),
        (12, "12"),
        (0.25, "0.25"),
        (2.0, "2"),
        (0.00001, "0"),
        (Kind.POD, "Pod"),
        (Key(Kind.POD, "web", "front"), '"Pod web/front"'),
        (ip_address("::1"), "::1"),
        (["a", Kind.NODE, 1.5], "a,Node,1.5"),
        ((), '""'),
        (NetpolError("the set is full"), '"the set is full"'),
        (ValueError("bad"), '"ValueError: bad"'),
    ],
)
def test_a_value_is_rendered(value: object, text: str) -> None:
    assert rendered(value) == text


@given(st.text(), st.text())
def test_no_text_breaks_the_line_or_gets_lost(message: str, value: str) -> None:
    record = logging.makeLogRecord({"msg": "%s", "args": (message,), "netpol_fields": {"value": value}})
    text = line(record)

    assert text.isprintable()
    assert len(text.splitlines()) == 1
    assert text.endswith(f" value={rendered(value)}")
    assert unquoted(rendered(value)) == value


def unquoted(text: str) -> str:
    """The value that a reader of the line takes it for."""
    if not text.startswith('"'):
        return text
    inside = re.sub(r"[^\x00-\x7f]", lambda each: f"\\U{ord(each[0]):08x}", text[1:-1])
    return inside.encode().decode("unicode_escape")


def test_a_long_value_is_cut(stream: io.StringIO) -> None:
    log.info("read", annotation="y" * LONGEST_TEXT * 2, size=3)

    assert written(stream) == [("INFO", f"read annotation={'y' * LONGEST_TEXT}... size=3")]


def fail(error: Exception) -> None:
    raise error


def test_an_exception_nobody_expects_brings_its_traceback_on_the_line(stream: io.StringIO) -> None:
    try:
        fail(ZeroDivisionError("by zero"))
    except ZeroDivisionError:
        log.exception("the batch failed", batch=7)

    [(level, rest)] = written(stream)
    assert level == "ERROR"
    assert rest.startswith('the batch failed batch=7 error="ZeroDivisionError: by zero" trace="Traceback')
    assert "test_logs.py" in rest


def test_an_expected_exception_is_its_one_line(stream: io.StringIO) -> None:
    try:
        fail(NetpolError("the table is locked"))
    except NetpolError:
        log.exception("not written")

    assert written(stream) == [("ERROR", 'not written error="the table is locked"')]


def test_other_libraries_speak_in_lines_too_when_it_matters(stream: io.StringIO) -> None:
    library = logging.getLogger("urllib3.connectionpool")
    library.info("new connection")
    library.warning("retrying after %s", "a\nb")
    try:
        fail(OSError(5, "no"))
    except OSError:
        library.exception("gone")

    assert written(stream) == [
        ("WARN", r"retrying after a\nb"),
        ("ERROR", 'gone error="OSError: [Errno 5] no"'),
    ]


class Refusing(io.StringIO):
    """A stream that can be made to refuse, as a closed pipe or a full disk does."""

    refusal: Exception | None = None

    def write(self, text: str) -> int:
        if self.refusal:
            raise self.refusal
        return super().write(text)


@pytest.mark.parametrize("refusal", [BrokenPipeError(32, "Broken pipe"), OSError(28, "No space"), ValueError("closed")])
def test_a_stream_that_refuses_loses_lines_and_tells_how_many(refusal: Exception) -> None:
    stream = Refusing()
    configure(0, stream)
    stream.refusal = refusal
    log.info("one")
    log.info("two")
    stream.refusal = None
    log.info("three")
    log.info("four")

    assert written(stream) == [("INFO", "three lines_lost=2"), ("INFO", "four")]


def test_a_reader_that_hangs_holds_nobody_up_and_hears_how_much_it_missed() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as reader, os.fdopen(writing, "w", encoding="utf-8") as stream:
        configure(0, stream)
        room = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 2 * select.PIPE_BUF)
        began = time.monotonic()
        for number in range(1000):
            log.info("full", number=number, padding="x" * 100)
        assert time.monotonic() - began < 10 * PATIENCE_SECONDS

        reader.read(room)
        log.info("again")
        log.info("and on")
        *_, again, and_on = reader.read(room).decode().splitlines()
    assert re.search(r" again lines_lost=9\d\d$", again)
    assert and_on.endswith(" and on")


@given(st.dictionaries(st.sampled_from("abcdef"), st.text(min_size=1), min_size=6))
def test_a_line_fits_into_a_pipe_that_has_any_room(fields: dict[str, str]) -> None:
    long = {name: text * (LONGEST_TEXT // len(text)) for name, text in fields.items()}
    text = line(logging.makeLogRecord({"msg": "m", "netpol_fields": long}))

    assert len(f"{text} lines_lost=1000000000\n".encode()) <= select.PIPE_BUF
    assert text.endswith("...")


def test_the_last_configuration_holds(stream: io.StringIO) -> None:
    other = io.StringIO()
    configure(0, other)
    log.info("here")

    assert (written(stream), written(other)) == ([], [("INFO", "here")])


def test_a_closed_stream_is_no_error() -> None:
    stream = io.StringIO()
    configure(0, stream)
    stream.close()

    log.error("nobody hears")
