"""Lengths of time as Go reads them, and those that can be waited for."""

from __future__ import annotations

import argparse
import threading

import pytest

from netpol.command.durations import LONGEST_PERIOD_SECONDS, duration, period


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5),
        ("1m30s", 90),
        ("10m0s", 600),
        ("2h22m", 8520),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("5.s", 5),
        ("300ms", 0.3),
        ("1s500ms", 1.5),
        ("1000us", 0.001),
        ("1000µs", 0.001),
        ("1000μs", 0.001),
        ("1000000ns", 0.001),
        ("0", 0),
        ("0s", 0),
    ],
)
def test_lengths_of_time_as_go_reads_them(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", ".s", "5 s", "-5s", "5s5", "1d", "٥s", "5S", "5s\n", "1,5s"])
def test_other_texts_are_none(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no length of time"):
        duration(text)


def test_a_period_is_greater_than_0() -> None:
    assert period("1ms") == pytest.approx(0.001)
    for text in ("0", "0s", "0h0m"):
        with pytest.raises(argparse.ArgumentTypeError, match="not greater than 0"):
            period(text)


def test_a_period_is_one_that_can_be_waited_for() -> None:
    assert LONGEST_PERIOD_SECONDS <= threading.TIMEOUT_MAX
    assert period("9223372036s") == LONGEST_PERIOD_SECONDS
    for text in ("9223372037s", "2562048h", f"{'9' * 400}s"):
        with pytest.raises(argparse.ArgumentTypeError, match="longer than 292 years"):
            period(text)
