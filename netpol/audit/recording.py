"""One node's audit log put together: the collector of its kernel, the chronicle, the judge and the outlets."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

from netpol.audit.capture.collector import FLUSH_SECONDS, Collector
from netpol.audit.capture.listening import listening
from netpol.audit.clock import wall_clock
from netpol.audit.history.chronicle import Chronicle
from netpol.audit.judge import Judge
from netpol.audit.outlets import destinations
from netpol.audit.outlets.outlet import Outlet
from netpol.audit.recorder import GATHER_SECONDS, Recorder
from netpol.settings import AuditSettings, NodeOptions
from netpol.telemetry.metrics import Metrics

JUDGING_SECONDS = 10.0
"""To read what a flush left, and judge all folds there can be: 1.5 ms for each where fifty policies isolate a pod."""

RECORDER_SECONDS, OUTLETS_SECONDS = GATHER_SECONDS + FLUSH_SECONDS + JUDGING_SECONDS, 3.0
"""How long the end of the agent waits for what was logged to be judged, and then for all outlets to write it.

The kubelet gives the agent thirty in all.
"""


@contextmanager
def recording(
    options: NodeOptions,
    settings: AuditSettings,
    metrics: Metrics,
    entered: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Iterator[Recorder]:
    """Inside, what the kernel logs of the node's packets is recorded; who listens has `entered` the node's namespace.

    At the end what was logged by then is written, as far as that can be done in seconds.
    """
    chronicle = Chronicle(options)
    outlets = destinations.outlets(settings, options.name, metrics, wall_clock)

    @contextmanager
    def collecting() -> Iterator[Collector]:
        with entered(), listening(options.log_group, settings.window_seconds, wall_clock) as collector:
            yield collector

    recorder = Recorder(collecting, chronicle, Judge(chronicle, options), outlets, options.name, metrics, wall_clock)
    with ExitStack() as stack:
        stack.callback(stop_all, outlets, OUTLETS_SECONDS, time.monotonic)
        for outlet in outlets:
            outlet.start()
        recorder.start()
        stack.callback(recorder.stop, RECORDER_SECONDS)
        yield recorder


def stop_all(outlets: Collection[Outlet], seconds: float, now: Callable[[], float]) -> None:
    """The outlets have written what they could in this time, which they share: one that hangs takes none from others.

    `now` never goes back.
    """
    until = now() + seconds
    for outlet in outlets:
        outlet.end()
    for outlet in outlets:
        outlet.stop(max(0.0, until - now()))
