"""Waiting for what another thread, process or the kernel brings about."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from netpol.trigger import Trigger

Answer = TypeVar("Answer")

PATIENCE_SECONDS = 30.0
_LOOK_SECONDS = 0.02


class NotYet(AssertionError):
    """What was waited for had not come true by its deadline."""


def wait_until(
    ask: Callable[[], Answer],
    what: str = "what was waited for",
    seconds: float = PATIENCE_SECONDS,
    *,
    trigger: Trigger | None = None,
) -> Answer:
    """The first answer that counts as true; AssertionError and OSError of `ask` count as an answer that does not.

    It is asked now and then, and whenever the trigger is pulled. NotYet, with the last answer or error, where none
    counts within `seconds`.
    """
    deadline = time.monotonic() + seconds
    look_out = trigger or Trigger()
    while True:
        last: object
        try:
            answer = ask()
            if answer:
                return answer
            last = answer
        except (AssertionError, OSError) as refusal:
            last = refusal
        if time.monotonic() > deadline:
            raise NotYet(f"{what}: not within {seconds:g} s: {last!r}")
        look_out.wait(_LOOK_SECONDS)
