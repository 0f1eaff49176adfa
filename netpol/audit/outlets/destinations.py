"""The outlets that the settings ask for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from netpol.audit.outlets.counters import OutletCounters
from netpol.audit.outlets.log_file import RotatedFile
from netpol.audit.outlets.outlet import Outlet, Sink
from netpol.audit.outlets.sockets import RecordSocket
from netpol.audit.outlets.stream import Stream
from netpol.model.moments import Moment
from netpol.settings import AuditSettings, RecordFile, StandardOutput
from netpol.telemetry.logs import Log
from netpol.telemetry.metrics import Metrics

_STANDARD_OUTPUT_DESCRIPTOR = 1

log = Log("audit")


def outlets(settings: AuditSettings, node: str, metrics: Metrics, now: Callable[[], Moment]) -> tuple[Outlet, ...]:
    """An outlet for each place, not started; nothing is opened or looked up before that. `now` is the wall's clock."""
    return tuple(Outlet(name, sink, node, OutletCounters(metrics, name), now) for name, sink in _sinks(settings, now))


def _sinks(settings: AuditSettings, now: Callable[[], Moment]) -> Iterator[tuple[str, Sink]]:
    """Each place with its name in logs and metrics."""
    match settings.file:
        case RecordFile() as file:
            yield "file", RotatedFile(file, now)
        case StandardOutput() if sys.__stdout__ is not None:
            yield "stdout", Stream(_STANDARD_OUTPUT_DESCRIPTOR)
        case StandardOutput():
            # Closed by whoever started this process; by now its number may be that of any other file.
            log.warning("the audit log has no standard output to go to")
    for address in settings.addresses:
        yield str(address), RecordSocket(address)
