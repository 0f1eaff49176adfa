"""Every kind of a cluster followed at once, a thread each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from netpol.bus import Bus
from netpol.model.facts import Kind
from netpol.source.kube.connection import ApiConnection
from netpol.source.kube.recording import Notices, Recording
from netpol.source.kube.resources import Resource
from netpol.source.kube.watcher import DEFAULT_PACE, Faults, Pace, Watcher
from netpol.telemetry.metrics import Metrics

STOP_SECONDS = 6.0
"""A little longer than the opening of a connection may take, which nothing can cut short."""


class ClusterSource:
    """The watchers of some kinds, which record in `bus` from `start` to `stop`; they then close the connection."""

    def __init__(
        self,
        kinds: Mapping[Kind, Sequence[Resource]],
        connection: ApiConnection,
        bus: Bus,
        notices: Notices,
        metrics: Metrics,
        health: Faults,
        pace: Pace = DEFAULT_PACE,
        *,
        anchor: Callable[[], None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(
                target=Watcher(
                    candidates,
                    connection,
                    Recording(kind, bus, notices, metrics),
                    metrics,
                    health,
                    self._stop,
                    pace,
                    anchor=anchor,
                ).run,
                name=f"watch {kind.value}",
                daemon=True,
            )
            for kind, candidates in kinds.items()
        ]

    def start(self) -> None:
        """Every kind is followed from here on."""
        for thread in self._threads:
            thread.start()

    def stop(self, within_seconds: float = STOP_SECONDS) -> bool:
        """No watcher records any more; False where one did not end in time."""
        self._stop.set()
        self._connection.close()
        deadline = time.monotonic() + within_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)
