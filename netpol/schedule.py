"""When the kernel is to be compared with what it should hold, or looked over: pure, on the seconds of a told clock."""

from __future__ import annotations

from collections.abc import Callable

SHORTEST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.1, 30.0
ALARM_SECONDS = 1.0
"""How near together comparisons may be that others cause: one who changes our rules all the time takes no core."""
QUIET_SECONDS = 1.0
"""How long no fact must have come until there is time for a survey."""
SURVEY_SHARE = 0.01
"""The part of a core that surveys may take: where there is very much, they are made less often."""


class Schedule:
    """At once to begin with, then after each period; sooner after a failure, with growing pauses, or an alarm.

    `chance` gives a number from 0 to 1: agents that failed together are not to try again together.
    """

    def __init__(self, period_seconds: float, chance: Callable[[], float]) -> None:
        self._period_seconds = period_seconds
        self._chance = chance
        self._due: float | None = None
        self._compared: float | None = None
        self._failures = 0

    @property
    def failures(self) -> int:
        """How often it failed since it last succeeded."""
        return self._failures

    def succeeded(self, now: float) -> None:
        """The kernel was compared and holds the ruleset."""
        self._failures = 0
        self._compared = now
        self._due = now + self._period_seconds

    def failed(self, now: float) -> float:
        """Something was refused; returns the seconds until the next attempt."""
        longest = min(LONGEST_RETRY_SECONDS, SHORTEST_RETRY_SECONDS * 2.0 ** min(self._failures, 16))
        pause = longest * (0.5 + self._chance() / 2)
        self._failures += 1
        self._due = now + pause
        return pause

    def alarm(self, now: float) -> None:
        """Somebody else has changed what is ours."""
        soonest = now if self._compared is None else max(now, self._compared + ALARM_SECONDS)
        if self._due is not None and not self._failures:
            self._due = min(self._due, soonest)

    def is_due(self, now: float) -> bool:
        """True where it is time."""
        return self._due is None or now >= self._due

    def wait_seconds(self, now: float) -> float:
        """How long until it is time."""
        return 0.0 if self._due is None else max(0.0, self._due - now)


class Survey:
    """When there is time to look for changes that nobody tells of: long after the last look, and once it is quiet."""

    def __init__(self, period_seconds: float, now: float) -> None:
        self._period_seconds = period_seconds
        self._due = now + period_seconds
        self._quiet = now + QUIET_SECONDS

    def heard(self, now: float) -> None:
        """Facts came."""
        self._quiet = now + QUIET_SECONDS

    def looked(self, now: float, spent_seconds: float = 0.0) -> None:
        """All was looked at, which took so much of a core beside what was to be done anyway."""
        self._due = now + max(self._period_seconds, spent_seconds / SURVEY_SHARE)

    def wait_seconds(self, now: float) -> float:
        """How long until it is time."""
        return max(0.0, self._due - now, self._quiet - now)
