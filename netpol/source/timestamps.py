"""Creation times as objects state them, in one form that compares as text."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def canonical_time(text: str) -> str:
    """The RFC 3339 time in UTC and to the microsecond, so that later is greater; ValueError where it is no time.

    >>> canonical_time("2024-01-01T01:00:00.5+01:00")
    '2024-01-01T00:00:00.500000Z'
    """
    if not _RFC_3339.fullmatch(text):
        raise ValueError(f"{text!r} is no time as RFC 3339 writes it")
    try:
        moment = datetime.fromisoformat(text.upper()).astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} lies outside the years 1 to 9999") from None
    return f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
