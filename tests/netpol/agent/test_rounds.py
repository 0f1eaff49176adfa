"""What the main thread looks after: lists that are late."""

from __future__ import annotations

import pytest

from netpol.agent.rounds import LateLists
from netpol.bus import Bus
from netpol.model.facts import FIREWALL_KINDS, PROXY_KINDS, Kind
from netpol.trigger import Trigger


def test_lists_that_are_late_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus()
    subscriptions = [bus.subscribe(kinds, Trigger()) for kinds in (FIREWALL_KINDS, PROXY_KINDS)]
    bus.replace(Kind.POD, {})
    late = LateLists(subscriptions, 60.0)
    late.make(59.0)
    assert not caplog.records
    for later in (61.0, 62.0, 1_000.0):
        late.make(later)
    (record,) = caplog.records
    missing = record.__dict__["netpol_fields"]["missing"]
    assert missing == "EndpointSlice, Namespace, NetworkPolicy, Node and Service"


def test_lists_that_are_complete_are_not_late(caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus()
    subscription = bus.subscribe(PROXY_KINDS, Trigger())
    for kind in PROXY_KINDS:
        bus.replace(kind, {})
    LateLists([subscription], 60.0).make(61.0)
    assert not caplog.records
