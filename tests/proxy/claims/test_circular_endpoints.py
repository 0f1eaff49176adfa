"""Endpoints at addresses of services."""

from __future__ import annotations

from builders import address
from proxy_builders import endpoint, endpoint_slice, server, service, service_port
from proxy_facts import Told, gone, put

from netpol.compiler.names import services_set
from netpol.model.networks import Family
from netpol.settings import ProxySettings
from proxy.claims.circular_endpoints import CircularEndpoints
from proxy.claims.claims import Grant, Granted
from proxy.model import Origin
from proxy.services.engine import ProxyEngine

VIP, OUTSIDE = "10.96.0.1", "203.0.113.7"
API = service("default/api", VIP)
LED_TO = server("10.96.0.2:80/TCP")
TRAP, TRAP_SLICE = (
    service("x/trap", "10.96.0.2"),
    endpoint_slice("x/trap-1", "trap", endpoint(VIP), endpoint("10.1.0.7"), endpoint(OUTSIDE)),
)


def destinations(engine: ProxyEngine) -> set[str]:
    return {str(each) for each in engine.servers[LED_TO].destinations}


def test_nothing_is_sent_on_from_one_service_to_another() -> None:
    """X5: this node would hand it to whoever listens there, and nobody would judge it."""
    orders: list[list[Told]] = [[API, TRAP, TRAP_SLICE], [TRAP_SLICE, TRAP, API], [TRAP, API, TRAP_SLICE]]
    for order in orders:
        engine = ProxyEngine("n1", (Family.IPV4,), ProxySettings())
        for each in order:
            engine.apply(put(each))
        assert destinations(engine) == {"10.1.0.7:80", "203.0.113.7:80"}
        assert [str(each) for each in engine.notices["x", "trap"]] == [
            "Service x/trap: endpoints: 10.96.0.1 is a service's own address: nothing is sent on from one to another"
        ]
        assert len(engine.sets()[services_set(Family.IPV4)].members) == 2


def test_the_endpoint_counts_while_nobody_has_its_address() -> None:
    engine = ProxyEngine("n1", (Family.IPV4,), ProxySettings())
    engine.apply(put(TRAP, TRAP_SLICE))
    edge = service("x/edge", "10.96.0.3", external=OUTSIDE)
    touched = engine.apply(put(edge))
    assert touched.servers == {LED_TO, server("10.96.0.3:80/TCP"), server("203.0.113.7:80/TCP")}
    assert destinations(engine) == {"10.96.0.1:80", "10.1.0.7:80"}
    assert engine.apply(gone(edge)).services == {("x", "edge"), ("x", "trap")}
    assert destinations(engine) == {"10.96.0.1:80", "10.1.0.7:80", "203.0.113.7:80"}
    assert engine.notices == {}


def test_a_service_of_its_own_address_leads_nowhere() -> None:
    engine = ProxyEngine("n1", (Family.IPV4,), ProxySettings())
    engine.apply(put(TRAP, endpoint_slice("x/trap-1", "trap", endpoint("10.96.0.2"))))
    assert destinations(engine) == set()


def test_of_slices_and_services_that_are_gone_nothing_is_kept() -> None:
    known = CircularEndpoints()
    assert known.grant({("default", "api"): Granted()}) == set()
    known.put(("x", "trap-1"), None, TRAP_SLICE)
    known.put(("x", "trap-2"), None, TRAP_SLICE)
    granted = {("default", "api"): Granted({server("10.96.0.1:80/TCP"): Grant(Origin.CLUSTER, service_port("80/TCP"))})}
    assert known.grant(granted) == {("x", "trap")}
    assert known.among(TRAP_SLICE.groups) == [address(VIP)]
    known.put(("x", "trap-1"), TRAP_SLICE, None)
    assert known.grant({("default", "api"): Granted()}) == {("x", "trap")}
    known.put(("x", "trap-2"), TRAP_SLICE, None)
    assert known.grant(granted) == set()


def test_an_address_of_two_services_is_free_when_neither_has_it() -> None:
    known = CircularEndpoints()
    known.put(("x", "trap-1"), None, TRAP_SLICE)
    shared = Granted({server("203.0.113.7:80/TCP"): Grant(Origin.LOAD_BALANCER, service_port("80/TCP"))})
    assert known.grant({("x", "one"): shared}) == {("x", "trap")}
    assert known.grant({("x", "two"): shared}) == set()
    assert known.grant({("x", "one"): Granted()}) == set()
    assert known.grant({("x", "two"): Granted()}) == {("x", "trap")}
