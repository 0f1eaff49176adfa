"""Waiting for what another thread, process or the kernel brings about."""

from __future__ import annotations

import time
from collections.abc import Callable

from netpol.trigger import Trigger

PATIENCE_SECONDS = 20.0
_LOOK_SECONDS = 0.01


def wait_until(
    condition: Callable[[], object],
    what: str = "what was waited for",
    seconds: float = PATIENCE_SECONDS,
    *,
    trigger: Trigger | None = None,
) -> None:
    """Returns once the condition holds; it is an AssertionError where that takes too long.

    It is looked at now and then, and whenever the trigger is pulled.
    """
    deadline = time.monotonic() + seconds
    look_out = trigger or Trigger()
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        look_out.wait(_LOOK_SECONDS)
