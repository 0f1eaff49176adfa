"""The wall clock counts as moments do."""

from __future__ import annotations

from datetime import UTC, datetime

from netpol.audit.clock import wall_clock
from netpol.model.moments import SECOND, parse_rfc3339, rfc3339


def test_the_wall_clock_counts_microseconds_since_1970() -> None:
    before = parse_rfc3339(datetime.now(UTC).isoformat())
    now = wall_clock()
    assert before <= now < before + 60 * SECOND, rfc3339(now)
