"""What an event costs the proxy's engine depends on what it touches, not on how many services there are.

Work is counted in calls of functions, which are the same at every run on every machine.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from types import FrameType

import pytest
from builders import address, node
from proxy_builders import endpoint, endpoint_slice, service
from proxy_facts import gone, put

from netpol.model.facts import Fact
from netpol.model.networks import Family
from netpol.model.services import EndpointSlice, Service, TrafficPolicy
from netpol.settings import ProxySettings
from proxy.services.engine import ProxyEngine

SMALL, LARGE = 100, 1_000
ENDPOINTS = 10
MOST_TIMES = 1.5
"""A dictionary that grows at the one size and not at the other is no reason to fail."""
MOST_CALLS = 2_500
"""Of functions for one endpoint: less than a millisecond."""

OWN = node("n1", "172.16.0.1", pod_cidrs=["10.1.0.0/24"], zone="a")


def numbered(number: int) -> Service:
    """Each has two ports on a cluster address, on a load balancer's and on this node; some are told the client's."""
    place = f"{number // 250}.{number % 250 + 1}"
    ports = f"http=80:{30000 + number}/TCP dns=53/UDP"
    return replace(
        service(f"web/svc{number}", f"10.96.{place}", ports=ports, load_balancer=f"192.0.{place}"),
        external_policy=TrafficPolicy.LOCAL if number % 5 == 0 else TrafficPolicy.CLUSTER,
    )


def slice_of(number: int, endpoints: int = ENDPOINTS) -> EndpointSlice:
    """One endpoint of the service is on this node, and each other one on another."""
    places = (f"10.{1 + each}.{number // 250}.{number % 250 + 1}" for each in range(endpoints))
    found = (endpoint(place, f"n{1 + each}", zones="a") for each, place in enumerate(places))
    return endpoint_slice(f"web/svc{number}-1", f"svc{number}", *found, ports="http=8080/TCP dns=5353/UDP")


def cluster(size: int) -> Iterator[Fact]:
    yield from put(OWN)
    for number in range(size):
        yield from put(numbered(number), slice_of(number), node(f"n{2 + number}", f"172.17.0.{number % 250 + 1}"))


NEW = service("web/new", "10.97.0.1", ports="80:32500/TCP", load_balancer="198.51.100.1")

EVENTS: dict[str, tuple[list[Fact], list[Fact]]] = {
    "an endpoint comes": (put(slice_of(7, ENDPOINTS + 1)), put(slice_of(7))),
    "an endpoint of a local policy comes": (put(slice_of(5, ENDPOINTS + 1)), put(slice_of(5))),
    "all endpoints go": (gone(slice_of(7)), put(slice_of(7))),
    "a scheduler changes": (put(replace(numbered(7), scheduler="lc")), put(numbered(7))),
    "another node moves": (put(node("n2", "172.18.0.1")), put(node("n2", "172.17.0.1"))),
}


def calls(act: Callable[[], object]) -> int:
    """How many functions, of Python and of C, are called meanwhile."""
    count = 0

    def note(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    former = sys.getprofile()
    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(former)
    return count


@pytest.fixture(scope="module")
def engines() -> dict[int, ProxyEngine]:
    made = {size: ProxyEngine("n1", tuple(Family), ProxySettings()) for size in (SMALL, LARGE)}
    for size, engine in made.items():
        engine.apply(cluster(size))
        engine.set_node_addresses(frozenset({address("172.16.0.1")}))
    return made


@pytest.mark.parametrize(("facts", "undone"), EVENTS.values(), ids=EVENTS)
def test_an_event_costs_as_much_among_ten_times_as_many_services(
    engines: dict[int, ProxyEngine], facts: list[Fact], undone: list[Fact]
) -> None:
    cost: dict[int, int] = {}
    for size, engine in engines.items():
        cost[size] = calls(partial(engine.apply, facts))
        engine.apply(undone)
    assert cost[LARGE] <= MOST_TIMES * cost[SMALL]


def test_a_service_costs_as_much_among_ten_times_as_many(engines: dict[int, ProxyEngine]) -> None:
    cost: dict[int, tuple[int, int]] = {}
    for size, engine in engines.items():
        cost[size] = calls(partial(engine.apply, put(NEW))), calls(partial(engine.apply, gone(NEW)))
    assert all(large <= MOST_TIMES * small for small, large in zip(cost[SMALL], cost[LARGE], strict=True))


def test_an_endpoint_costs_little(engines: dict[int, ProxyEngine]) -> None:
    engine = engines[LARGE]
    touched = engine.apply(put(slice_of(7, ENDPOINTS + 1)))
    assert len(touched.servers) == 5
    assert not touched.sets
    assert calls(partial(engine.apply, put(slice_of(7)))) <= MOST_CALLS


def test_all_services_cost_far_more(engines: dict[int, ProxyEngine]) -> None:
    """So that counting calls tells the difference."""
    moved = [put(replace(OWN, zone=zone)) for zone in "bcd"]
    small, large = (calls(partial(engine.apply, facts)) for engine, facts in zip(engines.values(), moved, strict=False))
    assert large > 3 * MOST_TIMES * small
