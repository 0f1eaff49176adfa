"""Waiting for a condition, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")

PAUSE_SECONDS = 0.05


class NotYet(AssertionError):
    """What was waited for had not come true by its deadline."""


def wait_for(what: str, ask: Callable[[], Answer], seconds: float = 30) -> Answer:
    """The first answer that counts as true; AssertionError and OSError of `ask` count as an answer that does not.

    NotYet, with the last answer or error, where there is none within `seconds`.
    """
    end = time.monotonic() + seconds
    while True:
        last: object
        try:
            answer = ask()
            if answer:
                return answer
            last = answer
        except (AssertionError, OSError) as refusal:
            last = refusal
        if time.monotonic() > end:
            raise NotYet(f"{what}: not within {seconds:g} s: {last!r}")
        time.sleep(PAUSE_SECONDS)
