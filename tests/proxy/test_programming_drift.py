"""What others change beside servers and rules is mended, counted and said."""

from __future__ import annotations

from dataclasses import replace

import pytest
from live_proxy import LiveProxy
from proxy_builders import addresses, endpoint, endpoint_slice, service

WEB = service("shop/web", "10.96.0.10")
WEB_SLICE = endpoint_slice("shop/web-1", "web", endpoint("10.0.0.1", "n1"))
DIRECT = replace(service("shop/far", external="198.51.100.9", cluster="10.96.0.20"), direct_return=True)
DIRECT_SLICE = endpoint_slice("shop/far-1", "far", endpoint("10.0.0.7", "n1"))


def test_a_link_that_was_set_down_is_mended_and_counted() -> None:
    live = LiveProxy().started(WEB, WEB_SLICE)
    live.kernel.link.is_up = False
    live.step(after_seconds=5)
    assert live.kernel.link.is_up
    assert live.metric("netpol_proxy_drift_mended_total") == 1
    live.step(after_seconds=5)
    assert live.metric("netpol_proxy_drift_mended_total") == 1


def test_a_link_that_was_deleted_is_counted_with_all_that_went_with_it() -> None:
    live = LiveProxy().started(WEB, WEB_SLICE)
    live.kernel.link.remove()
    live.step(after_seconds=5)
    assert live.kernel.link.read() == frozenset(addresses("10.96.0.10"))
    assert live.metric("netpol_proxy_drift_mended_total") == 2


def test_routes_of_marks_that_others_took_away_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    live = LiveProxy().started(DIRECT, DIRECT_SLICE)
    assert live.metric("netpol_proxy_steps_total", subsystem="routes") == 1
    live.kernel.tunnels.route_marks(())
    live.step(after_seconds=5)
    assert live.metric("netpol_proxy_drift_mended_total") == 1
    assert live.metric("netpol_proxy_steps_total", subsystem="routes") == 2
    (said,) = (each for each in caplog.records if "somebody else" in each.message)
    assert str(vars(said)["netpol_fields"]["mended"]) == "1 rules and routes of marks changed"
    live.step(after_seconds=5)
    assert live.metric("netpol_proxy_drift_mended_total") == 1
