"""Where each kind is read from."""

from __future__ import annotations

import pytest

from netpol.model.facts import FIREWALL_KINDS, PROXY_KINDS, Kind
from netpol.settings import NetworkPolicyApi, PolicyOptions
from netpol.source.kube.resources import resources


@pytest.mark.parametrize(
    ("api", "paths"),
    [
        (NetworkPolicyApi.AUTO, ["/apis/networking.k8s.io/v1", "/apis/extensions/v1beta1"]),
        (NetworkPolicyApi.V1, ["/apis/networking.k8s.io/v1"]),
        (NetworkPolicyApi.V1BETA1, ["/apis/extensions/v1beta1"]),
    ],
)
def test_policies_come_from_the_api_that_is_chosen(api: NetworkPolicyApi, paths: list[str]) -> None:
    table = resources(PolicyOptions(), api)
    assert [resource.api_path for resource in table[Kind.NETWORK_POLICY]] == paths


def test_a_firewall_alone_follows_neither_services_nor_endpoints() -> None:
    assert resources(PolicyOptions()).keys() == set(FIREWALL_KINDS)


def test_every_kind_that_is_wanted_can_be_read() -> None:
    assert resources(PolicyOptions(), kinds=PROXY_KINDS).keys() == set(PROXY_KINDS)
    table = resources(PolicyOptions(), kinds={*FIREWALL_KINDS, *PROXY_KINDS})
    assert table.keys() == set(Kind)
    assert all(resource.kind is kind for kind, candidates in table.items() for resource in candidates)


def test_a_cluster_has_namespaces_nodes_and_a_service() -> None:
    table = resources(PolicyOptions(), kinds=list(Kind))
    never_empty = {kind for kind, candidates in table.items() if candidates[0].never_empty}
    assert never_empty == {Kind.NAMESPACE, Kind.NODE, Kind.SERVICE}


def test_endpoints_come_from_the_newest_api_there_is() -> None:
    candidates = resources(PolicyOptions(), kinds=[Kind.ENDPOINT_SLICE])[Kind.ENDPOINT_SLICE]
    assert [(each.api_path, each.plural, each.object_name, str(each)) for each in candidates] == [
        ("/apis/discovery.k8s.io/v1", "endpointslices", "EndpointSlice", "EndpointSlice of discovery.k8s.io/v1"),
        (
            "/apis/discovery.k8s.io/v1beta1",
            "endpointslices",
            "EndpointSlice",
            "EndpointSlice of discovery.k8s.io/v1beta1",
        ),
        ("/api/v1", "endpoints", "Endpoints", "Endpoints of v1"),
    ]


def test_requests_are_what_a_role_has_to_allow() -> None:
    pods = resources(PolicyOptions())[Kind.POD][0]
    policies = resources(PolicyOptions())[Kind.NETWORK_POLICY][0]
    listing, watching = pods.list_request((("limit", "1"),)), policies.watch_request(())
    assert (listing.verb, listing.resource, listing.path) == ("list", "pods", "/api/v1/pods")
    assert (watching.verb, watching.resource) == ("watch", "networkpolicies.networking.k8s.io")
    assert watching.path == "/apis/networking.k8s.io/v1/networkpolicies"
