"""Services and endpoints followed: EndpointSlices where they are served, Endpoints objects where not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from api_server import ApiServer
from api_store import Age, Manifest
from builders import address
from following import Following

from netpol.errors import NetpolError
from netpol.model.facts import PROXY_KINDS, Kind
from netpol.model.ports import Protocol
from netpol.model.services import Endpoint, EndpointGroup, EndpointPort, EndpointSlice, Service, ServicePort
from netpol.settings import ApiSource, PolicyOptions
from netpol.source.kube.connection import connect
from netpol.source.kube.listing import load
from netpol.source.kube.watcher import Pace

DISCOVERY = "/apis/discovery.k8s.io/v1"
PORT = {"name": "http", "port": 8080, "protocol": "TCP"}
NODE: Manifest = {"kind": "Node", "metadata": {"name": "n1"}}


def service_of(name: str, text: str) -> Manifest:
    metadata = {"namespace": "x", "name": name, "uid": f"uid-of-{name}", "managedFields": [{"manager": "kubectl"}]}
    spec = {"clusterIP": text, "ports": [{"port": 80, "targetPort": "http"}], "selector": {"app": name}}
    return {"kind": "Service", "metadata": metadata, "spec": spec, "status": {"loadBalancer": {}}}


def slice_of(name: str, *texts: str) -> Manifest:
    labels = {"kubernetes.io/service-name": "web"}
    return {
        "kind": "EndpointSlice",
        "metadata": {"namespace": "x", "name": name, "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [text], "targetRef": {"kind": "Pod"}} for text in texts] or None,
        "ports": [PORT],
    }


def endpoints_of(name: str, *texts: str) -> Manifest:
    subsets = [{"addresses": [{"ip": text} for text in texts], "ports": [PORT]}] if texts else []
    return {"kind": "Endpoints", "metadata": {"namespace": "x", "name": name}, "subsets": subsets}


def serving(name: str, *texts: str) -> EndpointSlice:
    endpoints = tuple(Endpoint(address(text)) for text in texts)
    group = EndpointGroup(endpoints, (EndpointPort(Protocol.TCP, 8080, "http"),))
    return EndpointSlice("x", name, "web", (group,) if texts else ())


@pytest.fixture(name="server")
def _server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        server.store.put(service_of("web", "10.96.0.1"))
        server.store.put(slice_of("web-1", "10.0.0.1"))
        server.store.put(endpoints_of("web", "10.0.0.1"))
        yield server


@pytest.fixture(name="old")
def _old() -> Iterator[ApiServer]:
    with ApiServer(Age.OLD) as server:
        server.store.put(endpoints_of("web", "10.0.0.1"))
        yield server


def test_a_service_comes_changes_and_goes(server: ApiServer) -> None:
    with Following(server, Kind.SERVICE) as services:
        services.until_it_has("x/web")
        server.wait_for_watch("services")
        assert services.value("x/web") == Service(
            "x", "web", (address("10.96.0.1"),), (ServicePort(Protocol.TCP, 80),), uid="uid-of-web"
        )
        annotated = service_of("web", "10.96.0.1")
        annotated["metadata"]["annotations"] = {"kube-router.io/service.scheduler": "lc"}
        server.store.put(annotated)
        services.until(lambda: getattr(services.value("x/web"), "scheduler", "") == "lc")
        server.store.put(service_of("db", "10.96.0.2"))
        services.until_it_has("x/web", "x/db")
        server.store.delete("Service", "x", "web")
        services.until_it_has("x/db")


def test_slices_come_change_and_go(server: ApiServer) -> None:
    with Following(server, Kind.ENDPOINT_SLICE) as slices:
        slices.until_it_has("x/web-1")
        server.wait_for_watch("endpointslices")
        assert slices.value("x/web-1") == serving("web-1", "10.0.0.1")
        server.store.put(slice_of("web-1", "10.0.0.1", "10.0.0.2"))
        slices.until(lambda: slices.value("x/web-1") == serving("web-1", "10.0.0.1", "10.0.0.2"))
        server.store.put(slice_of("web-1"))
        slices.until(lambda: slices.value("x/web-1") == serving("web-1"))
        server.store.delete("EndpointSlice", "x", "web-1")
        slices.until_it_has()
        assert server.times_asked("list", "endpoints") == 0


def test_endpoints_objects_are_followed_where_no_slices_are_served(old: ApiServer) -> None:
    with Following(old, Kind.ENDPOINT_SLICE) as slices:
        slices.until_it_has("x/web")
        old.wait_for_watch("endpoints")
        assert slices.value("x/web") == serving("web", "10.0.0.1")
        old.store.put(endpoints_of("web", "10.0.0.2"))
        slices.until(lambda: slices.value("x/web") == serving("web", "10.0.0.2"))
        old.store.put(endpoints_of("web"))
        slices.until(lambda: slices.value("x/web") == serving("web"))
        old.store.delete("Endpoints", "x", "web")
        slices.until_it_has()


def test_a_server_that_went_back_is_looked_at_where_it_has_endpoints(old: ApiServer) -> None:
    with Following(old, Kind.ENDPOINT_SLICE) as slices:
        slices.until_it_has("x/web")
        old.wait_for_watch("endpoints")
        old.store.restart_with(1, [endpoints_of("web", "10.0.0.9")])
        old.cut()
        slices.until(lambda: slices.value("x/web") == serving("web", "10.0.0.9"))


def test_the_watch_moves_to_slices_once_they_are_served(old: ApiServer) -> None:
    with Following(old, Kind.ENDPOINT_SLICE) as slices:
        slices.until_it_has("x/web")
        old.wait_for_watch("endpoints")
        old.store.put(slice_of("web-1", "10.0.0.1"))
        old.served.add(DISCOVERY)
        old.cut("endpoints")
        slices.until_it_has("x/web-1")


def test_a_cluster_without_a_service_is_none(server: ApiServer) -> None:
    with Following(server, Kind.SERVICE) as services:
        services.until_it_has("x/web")
        server.wait_for_watch("services")
        server.store.restart_with(1)
        server.cut()
        services.until(lambda: services.now > 10 * Pace().settle)
        assert services.has("x/web")


def test_a_cluster_may_be_without_endpoints() -> None:
    with ApiServer() as server, Following(server, Kind.ENDPOINT_SLICE) as slices:
        slices.until_it_has()


def test_endpoints_that_vanish_at_once_are_believed_when_they_stay_away(server: ApiServer) -> None:
    with Following(server, Kind.ENDPOINT_SLICE) as slices:
        slices.until_it_has("x/web-1")
        server.wait_for_watch("endpointslices")
        server.store.restart_with(1)
        server.cut()
        slices.until(lambda: slices.failures("empty"))
        slices.until_it_has()
        assert slices.now >= Pace().settle


def test_a_service_not_understood_any_more_stays_as_it_was(server: ApiServer) -> None:
    with Following(server, Kind.SERVICE) as services:
        services.until_it_has("x/web")
        server.wait_for_watch("services")
        broken = service_of("web", "10.96.0.1")
        broken["spec"]["ports"] = [{"port": "x"}]
        server.store.put(broken)
        services.until(lambda: services.gauge("unreadable_objects") == 1)
        assert services.has("x/web")
        odd = service_of("web", "10.96.0.1")
        odd["spec"]["externalIPs"] = ["nonsense"]
        server.store.put(odd)
        services.until(lambda: services.gauge("unreadable_objects") == 0)
        assert services.gauge("notices") == 1


def test_one_look_has_what_is_wanted(server: ApiServer) -> None:
    server.store.put(NODE)
    with connect(ApiSource(master=server.url)) as connection:
        found = load(connection, PolicyOptions(), kinds=PROXY_KINDS).snapshot
    assert list(found.services) == [("x", "web")]
    assert found.endpoint_slices == {("x", "web-1"): serving("web-1", "10.0.0.1")}
    assert list(found.nodes) == ["n1"]
    assert server.times_asked("list", "pods") == 0


def test_one_look_at_an_older_server(old: ApiServer) -> None:
    old.store.put(service_of("web", "10.96.0.1"))
    with connect(ApiSource(master=old.url)) as connection:
        found = load(connection, PolicyOptions(), kinds=[Kind.SERVICE, Kind.ENDPOINT_SLICE]).snapshot
        assert found.endpoint_slices == {("x", "web"): serving("web", "10.0.0.1")}
        old.store.forget("Service")
        with pytest.raises(NetpolError, match="lists no Service: it is not ready, or no cluster's"):
            load(connection, PolicyOptions(), kinds=[Kind.SERVICE])


def test_what_nothing_serves_is_told_by_all_its_names(old: ApiServer) -> None:
    old.served = set()
    expected = r"serves no discovery.k8s.io/v1 and no discovery.k8s.io/v1beta1 and no v1: there is no EndpointSlice"
    with connect(ApiSource(master=old.url)) as connection, pytest.raises(NetpolError, match=expected):
        load(connection, PolicyOptions(), kinds=[Kind.ENDPOINT_SLICE])
