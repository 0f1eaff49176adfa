"""Lengths of time as kube-router's users write them: `5s`, `1m30s`, `10m0s`, `0.5h`."""

from __future__ import annotations

import argparse
import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
"""Go's, with both characters that are read as micro."""

LONGEST_PERIOD_SECONDS = float((1 << 63) // 10**9)
"""Some 292 years: what a duration of Go's can hold, and what a thread can wait."""

_PART = re.compile(rf"(?P<number>[0-9]+\.?[0-9]*|\.[0-9]+)(?P<unit>{'|'.join(_UNITS)})", re.ASCII)
_WHOLE = re.compile(rf"(?:{_PART.pattern.replace('?P<number>', '?:').replace('?P<unit>', '?:')})+")


def duration(text: str) -> float:
    """The seconds that a length of time has; ArgumentTypeError where the text is none.

    >>> duration("1m30s"), duration("1.5h"), duration("0")
    (90.0, 5400.0, 0.0)
    """
    if text == "0":
        return 0.0
    if not _WHOLE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time such as 30s or 1m30s")
    return sum(float(part["number"]) * _UNITS[part["unit"]] for part in _PART.finditer(text))


def period(text: str) -> float:
    """The seconds of a length of time that can be waited for, greater than 0; ArgumentTypeError where it is none."""
    if (seconds := duration(text)) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not greater than 0")
    if seconds > LONGEST_PERIOD_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is longer than 292 years")
    return seconds
