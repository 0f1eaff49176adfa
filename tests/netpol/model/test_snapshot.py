from __future__ import annotations

from itertools import permutations

from builders import address, namespace, node, pod, policy

from netpol.model.objects import Pod
from netpol.model.services import EndpointSlice, Service
from netpol.model.snapshot import Snapshot, holders


def held(*pods: Pod) -> dict[str, str]:
    return {str(held): str(pod) for held, pod in holders(pods).items()}


def test_a_snapshot_finds_objects_by_their_names() -> None:
    web, allow = pod("x/web", "10.0.0.1"), policy("x/allow")
    snapshot = Snapshot.of([namespace("x")], [web], [node("n1")], [allow])
    assert snapshot.namespaces == {"x": namespace("x")}
    assert snapshot.pods == {("x", "web"): web}
    assert snapshot.nodes == {"n1": node("n1")}
    assert snapshot.policies == {("x", "allow"): allow}
    assert (snapshot.services, snapshot.endpoint_slices) == ({}, {})
    assert Snapshot.of() == Snapshot({}, {}, {}, {})


def test_a_snapshot_has_services_where_it_is_given_them() -> None:
    service, part = Service("x", "web"), EndpointSlice("x", "web-1", "web")
    snapshot = Snapshot.of(services=[service], endpoint_slices=[part])
    assert snapshot.services == {("x", "web"): service}
    assert snapshot.endpoint_slices == {("x", "web-1"): part}


def test_every_address_of_a_pod_is_its_own() -> None:
    assert held(pod("x/a", "10.0.0.1", "fd00::1"), pod("x/b", "10.0.0.2")) == {
        "10.0.0.1": "x/a",
        "fd00::1": "x/a",
        "10.0.0.2": "x/b",
    }


def test_x1_the_newest_pod_holds_an_address_in_whatever_order_they_come() -> None:
    pods = [
        pod("x/old", "10.0.0.1", created="2024-01-01T00:00:00Z"),
        pod("x/newest", "10.0.0.1", created="2024-01-03T00:00:00Z"),
        pod("x/newer", "10.0.0.1", created="2024-01-02T00:00:00Z"),
        pod("x/undated", "10.0.0.1"),
    ]
    assert [held(*order) for order in permutations(pods)] == [{"10.0.0.1": "x/newest"}] * 24


def test_x1_pods_of_equal_age_are_told_apart_by_name() -> None:
    pods = [pod("x/b", "10.0.0.1"), pod("y/a", "10.0.0.1"), pod("x/c", "10.0.0.1")]
    assert [held(*order) for order in permutations(pods)] == [{"10.0.0.1": "y/a"}] * 6


def test_g3_only_actionable_pods_hold_addresses() -> None:
    running = pod("x/running", "10.0.0.1", created="2024-01-01T00:00:00Z")
    finished = pod("x/finished", "10.0.0.1", finished=True, created="2024-01-02T00:00:00Z")
    host = pod("x/host", "192.168.0.1", host_network=True)
    assert holders([running, finished, host]) == {address("10.0.0.1"): running}
