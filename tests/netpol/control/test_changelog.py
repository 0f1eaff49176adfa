"""The lines of a change: who changed, what became of it, and how many of many."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from builders import namespace, pod, policy
from live import gone, known

from netpol.control.changelog import MOST_LINES, tell
from netpol.dataplane.outcome import Outcome
from netpol.telemetry import logs

LOG = logs.Log("control.test")


@pytest.fixture(name="written")
def _written() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logs.configure(0, stream)
    yield stream
    logs.configure(0, io.StringIO())


def lines(written: io.StringIO) -> list[str]:
    """What was written, without the times."""
    return [line.split(" ", 1)[1] for line in written.getvalue().splitlines()]


def test_an_object_has_a_line_that_names_it_and_what_it_did(written: io.StringIO) -> None:
    tell(LOG, [known(policy("web/allow"))], Outcome((), flows_cut=2), 0.0031)
    (line,) = lines(written)
    assert line == 'INFO  NetworkPolicy changed name=web/allow done="2 connections cut" ms=3.1'


def test_what_has_no_namespace_has_its_name_alone(written: io.StringIO) -> None:
    tell(LOG, [gone(namespace("web"))], Outcome(()), 0.001)
    (line,) = lines(written)
    assert line.startswith("INFO  Namespace gone name=web done=")


def test_of_many_the_first_are_named_and_the_others_counted(written: io.StringIO) -> None:
    facts = [known(pod(f"x/pod-{number}")) for number in range(MOST_LINES + 5)]
    tell(LOG, facts, Outcome(()), 0.001)
    named = lines(written)
    assert [line.split("name=")[1].split()[0] for line in named[:-1]] == [f"x/pod-{n}" for n in range(MOST_LINES)]
    assert "more objects" in named[-1]
    assert named[-1].endswith("count=5")


def test_as_many_as_have_lines_are_all_that_there_are(written: io.StringIO) -> None:
    tell(LOG, [known(pod(f"x/pod-{number}")) for number in range(MOST_LINES)], Outcome(()), 0.001)
    assert len(lines(written)) == MOST_LINES
