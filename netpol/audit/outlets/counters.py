"""What became of an outlet's records, as the agent's metrics count them."""

from __future__ import annotations

from netpol.audit.record import Record
from netpol.telemetry.metrics import Metrics


class OutletCounters:
    """One outlet's, by its name; all of them are there before anything is written."""

    def __init__(self, metrics: Metrics, outlet: str) -> None:
        self._written = metrics.audit_records.labels(outlet, "written")
        self._lost = metrics.audit_records.labels(outlet, "lost")
        self._lost_packets = metrics.audit_lost_packets.labels(outlet)

    def written(self) -> None:
        """A record is written."""
        self._written.inc()

    def lost(self, record: Record) -> None:
        """The record is lost, with the packets it describes; those of its `lost` were counted where they were lost."""
        self._lost.inc()
        self._lost_packets.inc(record.count)
