"""One node's audit log put together: the collector of its kernel, the chronicle, the judge and the outlets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

from netpol.audit.capture.collector import Collector
from netpol.audit.clock import wall_clock
from netpol.audit.history.chronicle import Chronicle
from netpol.audit.judge import Judge
from netpol.audit.outlets.destinations import outlets
from netpol.audit.recorder import Recorder
from netpol.settings import AuditSettings, NodeOptions
from netpol.telemetry.metrics import Metrics

RECORDER_SECONDS, OUTLET_SECONDS = 5.0, 3.0
"""How long the end of the agent waits for what was logged to be judged, and then for each outlet to write it."""


@contextmanager
def recording(
    options: NodeOptions,
    settings: AuditSettings,
    metrics: Metrics,
    place: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Iterator[Recorder]:
    """Inside, what the kernel logs of the node's packets is recorded; `place` is entered by the thread that listens.

    At the end what was logged by then is written, as far as that can be done in seconds.
    """
    chronicle = Chronicle(options)
    ways = outlets(settings, options.name, metrics, wall_clock)

    @contextmanager
    def listening() -> Iterator[Collector]:
        with place(), Collector(options.log_group, settings.window_seconds, clock=wall_clock) as collector:
            yield collector

    recorder = Recorder(listening, chronicle, Judge(chronicle, options), ways, options.name, metrics, wall_clock)
    with ExitStack() as stack:
        for outlet in ways:
            outlet.start()
            stack.callback(outlet.stop, OUTLET_SECONDS)
        recorder.start()
        stack.callback(recorder.stop, RECORDER_SECONDS)
        yield recorder
