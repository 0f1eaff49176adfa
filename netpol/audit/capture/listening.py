"""A collector of what the kernel logs, put together."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from netpol.audit.capture.collector import Bounds, Clocks, Collector
from netpol.audit.capture.nflog import PacketLog
from netpol.audit.capture.sounding import SECRET_BYTES, Soundings, is_logged
from netpol.model.moments import Moment

_USUAL = Bounds()


@contextmanager
def listening(
    group: int, window_seconds: float, wall_clock: Callable[[], Moment], bounds: Bounds = _USUAL
) -> Iterator[Collector]:
    """Inside, the thread gathers what is logged to the group in its network namespace; after it the group is free.

    KernelRefusal where the group cannot be read.
    """
    with PacketLog(group, bounds.receive_buffer_bytes) as log:
        soundings = Soundings(secrets.token_bytes(SECRET_BYTES), is_logged)
        yield Collector(log, soundings, Clocks(wall_clock, time.monotonic, time.sleep), window_seconds, bounds)
