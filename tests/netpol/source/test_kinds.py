"""Which objects count, and which may be passed over."""

from __future__ import annotations

import pytest

from netpol.model.facts import FIREWALL_KINDS, PROXY_KINDS, Kind
from netpol.model.policies import Semantics
from netpol.settings import PolicyOptions
from netpol.source.kinds import PassedOver, UnknownKind, classify, described, semantics_of


@pytest.mark.parametrize(
    ("api_version", "kind", "used"),
    [
        ("v1", "Pod", Kind.POD),
        ("v1", "Namespace", Kind.NAMESPACE),
        ("v1", "Node", Kind.NODE),
        ("extensions/v1beta1", "NetworkPolicy", Kind.NETWORK_POLICY),
        ("networking.k8s.io/v1", "NetworkPolicy", Kind.NETWORK_POLICY),
        ("v1", "Service", PassedOver.NO_POLICY),
        ("v2", "Service", PassedOver.NO_POLICY),
        ("v1", "service", PassedOver.NO_POLICY),
        ("v1", "Endpoints", PassedOver.NO_POLICY),
        ("discovery.k8s.io/v1", "EndpointSlice", PassedOver.NO_POLICY),
        ("apps/v1", "Deployment", PassedOver.NO_POLICY),
        ("networking.k8s.io/v1", "Ingress", PassedOver.NO_POLICY),
        ("example.org/v1", "Pod", PassedOver.NO_POLICY),
        ("crd.projectcalico.org/v1", "NetworkPolicy", PassedOver.FOREIGN_POLICY),
        ("cilium.io/v2", "CiliumNetworkPolicy", PassedOver.FOREIGN_POLICY),
        ("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", PassedOver.TIER_POLICY),
        ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", PassedOver.TIER_POLICY),
    ],
)
def test_what_becomes_of_an_object(api_version: str, kind: str, used: Kind | PassedOver) -> None:
    assert classify(api_version, kind) is used


@pytest.mark.parametrize(
    ("api_version", "kind", "field"),
    [
        ("networking.k8s.io/v2", "NetworkPolicy", "apiVersion"),
        ("networking.k8s.io/v1beta1", "NetworkPolicy", "apiVersion"),
        ("extensions/v1", "NetworkPolicy", "apiVersion"),
        ("v1", "NetworkPolicy", "apiVersion"),
        ("v2", "Pod", "apiVersion"),
        ("extensions/v1beta1", "Namespace", "apiVersion"),
        ("v1", "namespace", "kind"),
        ("networking.k8s.io/v1", "Networkpolicy", "kind"),
    ],
)
def test_what_must_not_be_passed_over(api_version: str, kind: str, field: str) -> None:
    with pytest.raises(UnknownKind, match=f"there is no '{kind}' in '{api_version}'") as raised:
        classify(api_version, kind)
    assert raised.value.field == field


@pytest.mark.parametrize(
    ("api_version", "kind", "used"),
    [
        ("v1", "Service", Kind.SERVICE),
        ("v1", "Node", Kind.NODE),
        ("v1", "Endpoints", Kind.ENDPOINT_SLICE),
        ("discovery.k8s.io/v1", "EndpointSlice", Kind.ENDPOINT_SLICE),
        ("discovery.k8s.io/v1beta1", "EndpointSlice", Kind.ENDPOINT_SLICE),
        ("serving.knative.dev/v1", "Service", PassedOver.NO_POLICY),
        ("v1", "Pod", PassedOver.NO_POLICY),
        ("networking.k8s.io/v2", "NetworkPolicy", PassedOver.NO_POLICY),
        ("cilium.io/v2", "CiliumNetworkPolicy", PassedOver.NO_POLICY),
        ("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", PassedOver.NO_POLICY),
    ],
)
def test_what_becomes_of_an_object_where_only_a_proxy_runs(
    api_version: str, kind: str, used: Kind | PassedOver
) -> None:
    assert classify(api_version, kind, PROXY_KINDS) is used


@pytest.mark.parametrize(
    ("api_version", "kind", "field"),
    [
        ("v2", "Service", "apiVersion"),
        ("discovery.k8s.io/v2", "EndpointSlice", "apiVersion"),
        ("v1", "EndpointSlice", "apiVersion"),
        ("v1", "endpoints", "kind"),
        ("discovery.k8s.io/v1", "Endpointslice", "kind"),
    ],
)
def test_what_must_not_be_passed_over_where_a_proxy_runs(api_version: str, kind: str, field: str) -> None:
    with pytest.raises(UnknownKind, match=f"there is no '{kind}' in '{api_version}'") as raised:
        classify(api_version, kind, {*FIREWALL_KINDS, *PROXY_KINDS})
    assert raised.value.field == field


def test_kinds_in_a_sentence() -> None:
    assert described(PROXY_KINDS) == "Node, Service or EndpointSlice"
    assert described([Kind.POD]) == "Pod"


def test_the_apis_semantics() -> None:
    annotation, v1 = (PolicyOptions(v1beta1_semantics=semantics) for semantics in Semantics)
    assert semantics_of("extensions/v1beta1", annotation) is Semantics.ANNOTATION
    assert semantics_of("extensions/v1beta1", v1) is Semantics.V1
    assert semantics_of("networking.k8s.io/v1", annotation) is Semantics.V1
