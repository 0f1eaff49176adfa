"""The wall clock, as the audit log reads it."""

from __future__ import annotations

import time

from netpol.model.moments import Moment


def wall_clock() -> Moment:
    """The moment it is; it may be set back at any time."""
    return time.time_ns() // 1000
