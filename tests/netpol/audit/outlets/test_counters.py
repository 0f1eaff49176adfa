"""What the metrics tell of an outlet."""

from __future__ import annotations

import msgspec
from outlets import records

from netpol.audit.outlets.counters import OutletCounters
from netpol.telemetry.metrics import Metrics


def test_an_outlets_series_are_there_before_it_writes() -> None:
    metrics = Metrics()
    counters = OutletCounters(metrics, "stdout")
    value = metrics.registry.get_sample_value
    assert value("netpol_audit_records_total", {"outlet": "stdout", "outcome": "written"}) == 0

    counters.written()
    counters.lost(msgspec.structs.replace(records(1)[0], count=5, lost=100))

    assert value("netpol_audit_records_total", {"outlet": "stdout", "outcome": "written"}) == 1
    assert value("netpol_audit_records_total", {"outlet": "stdout", "outcome": "lost"}) == 1
    assert value("netpol_audit_lost_packets_total", {"where": "stdout"}) == 5
