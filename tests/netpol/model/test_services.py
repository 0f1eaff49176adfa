"""Services and slices as people know them."""

from __future__ import annotations

from netpol.model.ports import Protocol
from netpol.model.services import EndpointSlice, SchedulerFlag, Service, ServicePort, TrafficPolicy


def test_services_and_slices_are_called_by_namespace_and_name() -> None:
    assert str(Service("x", "web")) == "x/web"
    assert str(EndpointSlice("x", "web-1", "web")) == "x/web-1"


def test_a_port_is_a_number_of_a_protocol() -> None:
    assert str(ServicePort(Protocol.UDP, 53, "dns", 30053)) == "53/UDP"


def test_words_of_the_api_and_of_kube_router() -> None:
    assert [each.value for each in TrafficPolicy] == ["Cluster", "Local"]
    assert [each.value for each in SchedulerFlag] == ["flag-1", "flag-2", "flag-3"]
