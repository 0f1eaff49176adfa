"""Moments of the wall clock, in microseconds since 1970, and as RFC 3339 writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

Moment = int
"""Microseconds since 1970 in UTC: exact, and what the kernel stamps packets with."""

SECOND: Moment = 1_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_START = _EPOCH.replace(tzinfo=None)


def rfc3339(moment: Moment) -> str:
    """The moment as text, always to the microsecond, so that texts compare as moments do.

    >>> rfc3339(1_700_000_000_000_005)
    '2023-11-14T22:13:20.000005Z'
    """
    return (_START + timedelta(microseconds=moment)).isoformat(timespec="microseconds") + "Z"


def parse_rfc3339(text: str) -> Moment:
    """The moment that the text names; ValueError where it names none.

    >>> parse_rfc3339("2023-11-14T22:13:20.000005Z"), parse_rfc3339("2023-11-14T23:13:20+01:00")
    (1700000000000005, 1700000000000000)
    """
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        raise ValueError(f"{text!r} names no zone")
    return (parsed - _EPOCH) // timedelta(microseconds=1)
