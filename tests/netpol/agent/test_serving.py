"""Services brought to a kernel that has IPVS, once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import node
from proxy_builders import destination, endpoint, endpoint_slice, server, service

from netpol.agent.proxy_kernel import read_servers
from netpol.agent.serving import serve_once
from netpol.errors import KernelRefusal
from netpol.model.services import EndpointSlice
from netpol.model.snapshot import Snapshot
from netpol.settings import NodeOptions, ProxySettings, Variant
from proxy.kernel.links import DummyLink
from proxy.programming import Programming

pytestmark = pytest.mark.vm

OPTIONS, SETTINGS = NodeOptions("n1"), ProxySettings()
VIP = server("10.96.0.10:80/TCP")
WEB = replace(service("shop/web", "10.96.0.10", ports="80/TCP"), scheduler="none-such")
BOTH = endpoint_slice("shop/web-1", "web", endpoint("10.0.0.1", "n1"), endpoint("10.0.1.2", "n2"))
ONE = endpoint_slice("shop/web-1", "web", endpoint("10.0.0.1", "n1"))


def snapshot(endpoints: EndpointSlice) -> Snapshot:
    """A node, a service and these endpoints."""
    return Snapshot.of((), (), [node("n1", "192.0.2.1")], (), [WEB], [endpoints])


def test_services_are_served_when_it_ends_and_a_second_time_nothing_is_to_do(private_network: None) -> None:
    done = serve_once(OPTIONS, SETTINGS, Variant.LEGACY, snapshot(BOTH))
    assert "1 servers added, 2 endpoints added" in str(done.outcome)
    assert read_servers()[VIP].destinations.keys() == {destination("10.0.0.1:80"), destination("10.0.1.2:80")}
    with DummyLink() as link:
        assert link.read() == frozenset({VIP.address})
    again = serve_once(OPTIONS, SETTINGS, Variant.LEGACY, snapshot(BOTH))
    assert str(again.outcome) == "nothing to change"


def test_what_a_service_does_not_get_is_told(private_network: None) -> None:
    (notice,) = serve_once(OPTIONS, SETTINGS, Variant.LEGACY, snapshot(BOTH)).notices
    assert "the kernel has no scheduler 'none-such'" in str(notice)


def test_an_endpoint_that_is_gone_does_not_stay_to_drain(private_network: None) -> None:
    serve_once(OPTIONS, SETTINGS, Variant.LEGACY, snapshot(BOTH))
    serve_once(OPTIONS, SETTINGS, Variant.LEGACY, snapshot(ONE))
    assert read_servers()[VIP].destinations.keys() == {destination("10.0.0.1:80")}


def test_a_server_that_the_kernel_does_not_take_is_a_refusal(
    private_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Programming, "refused", property(lambda _: {VIP: "the kernel has no memory for it"}))
    with pytest.raises(KernelRefusal, match="the kernel has no memory for it"):
        serve_once(OPTIONS, SETTINGS, Variant.LEGACY, snapshot(ONE))
