"""Services and endpoints of real API servers: EndpointSlices where those are served, Endpoints objects where not."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from testbed.api_client import ApiClient, Object
from testbed.api_servers import OLD, ApiServer
from testbed.followed import Followed
from testbed.kubectl import Kubectl

from netpol.model.facts import PROXY_KINDS, Kind
from netpol.model.ports import Protocol
from netpol.model.services import Endpoint, EndpointGroup, EndpointPort, EndpointSlice, Service, ServicePort
from netpol.source.kube.watcher import Pace

pytestmark = pytest.mark.control_plane

NAMESPACES = "/api/v1/namespaces"
DISCOVERY = "/apis/discovery.k8s.io/v1"
PORT = {"name": "http", "port": 8080, "protocol": "TCP"}
SCHEDULER = "kube-router.io/service.scheduler"


def make_service(client: ApiClient, namespace: str, name: str = "web", **spec: object) -> Object:
    client.create(NAMESPACES, {"metadata": {"name": namespace}})
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    thing = {"metadata": {"name": name}, "spec": {"ports": ports, "selector": {"app": name}, **spec}}
    return client.create(f"{NAMESPACES}/{namespace}/services", thing)


def service_of(followed: Followed, namespace: str, name: str = "web") -> Service | None:
    found = followed.value(Kind.SERVICE, namespace, name)
    assert found is None or isinstance(found, Service)
    return found


def until_scheduled(followed: Followed, namespace: str, scheduler: str) -> None:
    def is_scheduled() -> bool:
        found = service_of(followed, namespace)
        return found is not None and found.scheduler == scheduler

    followed.until(f"its scheduler is {scheduler}", is_scheduled)


def make_slice(client: ApiClient, namespace: str, name: str, *endpoints: Object) -> None:
    metadata = {"name": name, "labels": {"kubernetes.io/service-name": "web"}}
    thing = {"metadata": metadata, "addressType": "IPv4", "endpoints": list(endpoints), "ports": [PORT]}
    client.create(f"{DISCOVERY}/namespaces/{namespace}/endpointslices", thing)


def make_endpoints(client: ApiClient, namespace: str, *addresses: str) -> None:
    subsets = [{"addresses": [{"ip": each} for each in addresses], "ports": [PORT]}]
    client.create(f"{NAMESPACES}/{namespace}/endpoints", {"metadata": {"name": "web"}, "subsets": subsets})


def serving(namespace: str, name: str, *endpoints: Endpoint) -> EndpointSlice:
    group = EndpointGroup(endpoints, (EndpointPort(Protocol.TCP, 8080, "http"),))
    return EndpointSlice(namespace, name, "web", (group,) if endpoints else ())


def test_a_service_comes_changes_and_goes(api_server: ApiServer, namespace: str) -> None:
    client = api_server.client()
    made = make_service(client, namespace, type="NodePort")
    (port,) = made["spec"]["ports"]
    address = ip_address(made["spec"]["clusterIP"])
    with Followed(api_server.kubeconfig(), kinds=PROXY_KINDS[:2]) as followed:
        followed.until("the lists are in", followed.in_sync)
        found = service_of(followed, namespace)
        assert found is not None
        assert found == Service(
            namespace,
            "web",
            (address,),
            (ServicePort(Protocol.TCP, 80, "http", port["nodePort"]),),
            uid=made["metadata"]["uid"],
            created=found.created,
        )
        assert found.created.startswith(made["metadata"]["creationTimestamp"].removesuffix("Z"))
        assert service_of(followed, "default", "kubernetes") is not None

        path = f"{NAMESPACES}/{namespace}/services/web"
        client.patch(path, {"spec": {"sessionAffinity": "ClientIP", "externalIPs": ["198.51.100.7"]}})
        wanted = replace(found, affinity_seconds=10800, external_addresses=(ip_address("198.51.100.7"),))
        followed.until("it is changed", lambda: service_of(followed, namespace) == wanted)
        client.delete(path)
        followed.until("it is gone", lambda: service_of(followed, namespace) is None)
        assert followed.lists(Kind.SERVICE) == 1


def test_what_kubectl_says_of_a_scheduler_acts(api_server: ApiServer, namespace: str) -> None:
    make_service(api_server.client(), namespace)
    kubectl = Kubectl(api_server.kubeconfig())
    with Followed(api_server.kubeconfig(), kinds=[Kind.SERVICE]) as followed:
        for word in ("lc", "sh", "rr"):
            kubectl(
                "patch",
                "svc",
                "-n",
                namespace,
                "web",
                "-p",
                f'{{"metadata":{{"annotations":{{"{SCHEDULER}":"{word}"}}}}}}',
            )
            until_scheduled(followed, namespace, word)


def test_slices_come_change_and_go(current_server: ApiServer, namespace: str) -> None:
    client = current_server.client()
    make_service(client, namespace)
    make_slice(
        client, namespace, "web-1", {"addresses": ["10.1.0.5"], "conditions": {"ready": True}, "nodeName": "one"}
    )
    with Followed(current_server.kubeconfig(), kinds=PROXY_KINDS[:2]) as followed:

        def has(name: str, wanted: EndpointSlice | None) -> bool:
            return followed.value(Kind.ENDPOINT_SLICE, namespace, name) == wanted

        first = Endpoint(ip_address("10.1.0.5"), "one")
        followed.until("the list is in", lambda: has("web-1", serving(namespace, "web-1", first)))
        # Nothing here makes slices of Endpoints objects, and nobody asks for those.
        make_endpoints(client, namespace, "10.1.0.9")
        conditions = {"ready": False, "serving": True, "terminating": True}
        make_slice(client, namespace, "web-2", {"addresses": ["10.1.0.6"], "conditions": conditions})
        last = Endpoint(ip_address("10.1.0.6"), "", False, True, True)
        followed.until("another slice", lambda: has("web-2", serving(namespace, "web-2", last)))
        assert followed.value(Kind.ENDPOINT_SLICE, namespace, "web") is None

        slices = f"{DISCOVERY}/namespaces/{namespace}/endpointslices"
        hints = {"forZones": [{"name": "a"}]}
        client.patch(f"{slices}/web-1", {"endpoints": [{"addresses": ["10.1.0.7"], "hints": hints}]})
        hinted = Endpoint(ip_address("10.1.0.7"), zone_hints=frozenset({"a"}))
        followed.until("another endpoint", lambda: has("web-1", serving(namespace, "web-1", hinted)))
        client.patch(f"{slices}/web-1", {"endpoints": []})
        followed.until("no endpoint", lambda: has("web-1", serving(namespace, "web-1")))
        client.delete(f"{slices}/web-1")
        followed.until("it is gone", lambda: has("web-1", None))
        assert followed.lists(Kind.ENDPOINT_SLICE) == 1


def test_endpoints_come_change_and_go_where_no_slices_are_served(old_server: ApiServer, namespace: str) -> None:
    assert old_server.release is OLD
    client = old_server.client()
    make_service(client, namespace)
    with Followed(old_server.kubeconfig(), kinds=PROXY_KINDS[:2]) as followed:

        def has(wanted: EndpointSlice | None) -> bool:
            return followed.value(Kind.ENDPOINT_SLICE, namespace, "web") == wanted

        followed.until("the lists are in", followed.in_sync)
        first, second = (Endpoint(ip_address(each)) for each in ("10.1.0.5", "10.1.0.6"))
        make_endpoints(client, namespace, "10.1.0.5")
        followed.until("they come", lambda: has(serving(namespace, "web", first)))
        path = f"{NAMESPACES}/{namespace}/endpoints/web"
        subset = {"addresses": [{"ip": "10.1.0.5"}], "notReadyAddresses": [{"ip": "10.1.0.6"}], "ports": [PORT]}
        client.patch(path, {"subsets": [subset]})
        unready = replace(second, ready=False, serving=False)
        followed.until("another endpoint", lambda: has(serving(namespace, "web", first, unready)))
        client.patch(path, {"subsets": []})
        followed.until("no endpoint", lambda: has(serving(namespace, "web")))
        client.delete(path)
        followed.until("they are gone", lambda: has(None))
        assert followed.lists(Kind.ENDPOINT_SLICE) == 1


def test_what_is_known_of_services_outlives_the_server(api_server: ApiServer, namespace: str) -> None:
    client = api_server.client()
    make_service(client, namespace)
    with Followed(api_server.kubeconfig(), kinds=PROXY_KINDS[:2], pace=Pace(most_wait=0.3)) as followed:
        followed.until("the lists are in", followed.in_sync)
        found = service_of(followed, namespace)
        api_server.kill()
        followed.until("both kinds have failed", lambda: followed.failures("unreachable") >= 2)
        assert service_of(followed, namespace) == found is not None
        api_server.start()
        followed.until("both kinds are watched", followed.is_connected)
        client.delete(f"{NAMESPACES}/{namespace}/services/web")
        followed.until("it is gone", lambda: service_of(followed, namespace) is None)
