"""Objects once each, with notices for what was not understood and warnings for what was not used."""

from __future__ import annotations

import pytest
from builders import address, namespace, node, pod, policy, rule

from netpol.model.facts import PROXY_KINDS
from netpol.model.policies import Semantics
from netpol.model.services import Endpoint, EndpointGroup, EndpointSlice, Service
from netpol.settings import PolicyOptions
from netpol.source.catalogue import Catalogue
from netpol.source.fields import Malformed

NETWORKING = "networking.k8s.io/v1"
EXTENSIONS = "extensions/v1beta1"
DISCOVERY = "discovery.k8s.io/v1"


def named(name: str, place: str | None = "x", **fields: object) -> dict[str, object]:
    return {"metadata": {"name": name, "namespace": place, "uid": f"uid-of-{place}-{name}"}, **fields}


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(PolicyOptions())


def test_the_snapshot_holds_what_was_added(catalogue: Catalogue) -> None:
    catalogue.add("v1", "Pod", named("a", status={"podIP": "10.0.0.1"}), "f, document 1")
    catalogue.add("v1", "Namespace", named("x", None), "f, document 2")
    catalogue.add("v1", "Node", named("n", None), "f, document 3")
    catalogue.add(NETWORKING, "NetworkPolicy", named("allow", spec={"ingress": [{}]}), "f, document 4")
    catalogue.add("apps/v1", "Deployment", {"metadata": 5}, "f, document 5")
    snapshot = catalogue.snapshot()
    assert snapshot.pods == {("x", "a"): pod("x/a", "10.0.0.1")}
    assert snapshot.namespaces == {"x": namespace("x")}
    assert snapshot.nodes == {"n": node("n")}
    assert snapshot.policies == {("x", "allow"): policy("x/allow", ingress=[rule()])}
    assert catalogue.notices() == ()
    assert catalogue.warnings() == ()


@pytest.mark.parametrize("semantics", Semantics)
def test_the_options_say_what_a_beta_policy_means(semantics: Semantics) -> None:
    catalogue = Catalogue(PolicyOptions(v1beta1_semantics=semantics))
    catalogue.add(EXTENSIONS, "NetworkPolicy", named("beta", spec={"ingress": [{"from": []}]}), "f")
    catalogue.add(NETWORKING, "NetworkPolicy", named("v1", spec={"ingress": [{"from": []}]}), "f")
    policies = catalogue.snapshot().policies
    assert policies["x", "beta"].semantics is semantics
    assert policies["x", "beta"].ingress[0].peers == (() if semantics is Semantics.ANNOTATION else None)
    assert policies["x", "v1"].semantics is Semantics.V1
    assert policies["x", "v1"].ingress[0].peers is None


@pytest.mark.parametrize("strict", [True, False])
def test_the_options_say_what_a_broken_annotation_means(strict: bool) -> None:
    catalogue = Catalogue(PolicyOptions(strict_annotations=strict))
    fields = {"metadata": {"name": "x", "annotations": {"net.beta.kubernetes.io/network-policy": "?"}}}
    catalogue.add("v1", "Namespace", dict(fields), "f")
    assert catalogue.snapshot().namespaces["x"].default_deny is strict
    assert len(catalogue.notices()) == 1


def test_the_same_object_twice_is_one_and_noticed_once(catalogue: Catalogue) -> None:
    for origin in ("f, document 1", "g, document 1"):
        catalogue.add(NETWORKING, "NetworkPolicy", named("allow", spec={"ingress": [None]}), origin)
        catalogue.add("v1", "Pod", named("a", status={"podIP": "10.0.0.1"}), origin)
    assert len(catalogue.snapshot().policies) == 1
    assert len(catalogue.notices()) == 1


@pytest.mark.parametrize(
    ("api_version", "kind", "first", "second", "name"),
    [
        ("v1", "Pod", named("a"), named("a", status={"podIP": "10.0.0.1"}), "x/a"),
        ("v1", "Node", named("n", None), named("n", None, spec={"podCIDR": "10.0.0.0/24"}), "node/n"),
        ("v1", "Namespace", {"metadata": {"name": "x"}}, {"metadata": {"name": "x", "labels": {"a": "b"}}}, "x"),
        (NETWORKING, "NetworkPolicy", named("p", spec={}), named("p", spec={"ingress": [{}]}), "x/p"),
    ],
)
def test_two_objects_of_one_name_that_differ_are_refused(
    catalogue: Catalogue,
    api_version: str,
    kind: str,
    first: dict[str, object],
    second: dict[str, object],
    name: str,
) -> None:
    catalogue.add(api_version, kind, first, "f, document 1")
    with pytest.raises(Malformed, match=f"{kind} {name} is also in f, document 1, and says something else there"):
        catalogue.add(api_version, kind, second, "g, document 7")


@pytest.mark.parametrize(("first", "second"), [(NETWORKING, EXTENSIONS), (EXTENSIONS, NETWORKING)])
@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"ingress": [{"from": []}]},
        {"policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]},
    ],
)
def test_v11_one_policy_of_both_endpoints_is_refused_by_that_name(
    catalogue: Catalogue, first: str, second: str, spec: dict[str, object]
) -> None:
    catalogue.add(first, "NetworkPolicy", named("p", spec=spec), "f, document 1")
    with pytest.raises(Malformed) as raised:
        catalogue.add(second, "NetworkPolicy", named("p", spec=spec), "g, document 1")
    assert str(raised.value) == (
        f"apiVersion: NetworkPolicy x/p of {second} is also in f, document 1, and only its apiVersion differs there: "
        "both endpoints of an API server show one store, but the two versions mean different rules; keep one"
    )


def test_v11_both_endpoints_agree_where_both_versions_mean_the_same_rules() -> None:
    catalogue = Catalogue(PolicyOptions(v1beta1_semantics=Semantics.V1))
    for api_version in (NETWORKING, EXTENSIONS):
        catalogue.add(api_version, "NetworkPolicy", named("p", spec={"ingress": [{}]}), "f")
    assert list(catalogue.snapshot().policies) == [("x", "p")]


def test_one_policy_of_both_apis_with_two_specs_is_a_contradiction(catalogue: Catalogue) -> None:
    catalogue.add(NETWORKING, "NetworkPolicy", named("p", spec={}), "f")
    with pytest.raises(Malformed, match=r"metadata.name: .* says something else there"):
        catalogue.add(EXTENSIONS, "NetworkPolicy", named("p", spec={"ingress": [{}]}), "g")


def test_an_unknown_version_is_malformed(catalogue: Catalogue) -> None:
    with pytest.raises(Malformed, match="apiVersion: there is no 'NetworkPolicy'"):
        catalogue.add("networking.k8s.io/v2", "NetworkPolicy", named("p"), "f")


def test_foreign_and_tier_policies_are_warned_about_by_kind(catalogue: Catalogue) -> None:
    for number in range(7):
        catalogue.add("crd.projectcalico.org/v1", "NetworkPolicy", named(f"p{number}"), "f")
    catalogue.add("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", {"metadata": {"name": "top"}}, "f")
    catalogue.add("cilium.io/v2", "CiliumNetworkPolicy", {"metadata": None}, "f")
    calico, tiers, cilium = catalogue.warnings()
    assert calico.startswith("7 NetworkPolicy objects (x/p0, x/p1, x/p2, x/p3 and 3 more) of crd.projectcalico.org")
    assert calico.endswith(": passed over, the rules of another project are not judged here")
    assert tiers.startswith("1 ClusterNetworkPolicy object (top) of policy.networking.k8s.io/v1alpha2: passed over")
    assert "the tiers of ClusterNetworkPolicy and its predecessors are not judged by this version" in tiers
    assert cilium.startswith("1 CiliumNetworkPolicy object (without a name) of cilium.io/v2: passed over")
    assert not catalogue.snapshot().policies


def test_pods_without_an_address_are_warned_about_where_they_could_have_one(catalogue: Catalogue) -> None:
    catalogue.add("v1", "Pod", named("a"), "f")
    catalogue.add("v1", "Pod", named("b", status={"podIP": "10.0.0.1"}), "f")
    catalogue.add("v1", "Pod", named("c", spec={"hostNetwork": True}), "f")
    catalogue.add("v1", "Pod", named("d", status={"phase": "Failed"}), "f")
    assert catalogue.warnings() == (
        "1 Pod object (x/a) without an address: no policy concerns a pod before it has one",
    )


# --- services


@pytest.fixture
def of_services() -> Catalogue:
    return Catalogue(PolicyOptions(), PROXY_KINDS)


def slice_named(name: str, text: str, service: str = "web", **entry: object) -> dict[str, object]:
    labels = {"kubernetes.io/service-name": service}
    return {
        "metadata": {"name": name, "namespace": "x", "labels": labels},
        "endpoints": [{"addresses": [text], **entry}],
        "ports": None,
    }


def serving(name: str, text: str, service: str = "web", node: str = "") -> EndpointSlice:
    return EndpointSlice("x", name, service, (EndpointGroup((Endpoint(address(text), node),), ()),))


def subsets(text: str) -> list[object]:
    return [{"addresses": [{"ip": text}]}]


def test_a_firewall_alone_has_nothing_to_do_with_services(catalogue: Catalogue) -> None:
    catalogue.add("v1", "Service", {"metadata": 5}, "f, document 1")
    catalogue.add("v1", "Endpoints", {"metadata": 5}, "f, document 2")
    catalogue.add(DISCOVERY, "EndpointSlice", {"metadata": 5}, "f, document 3")
    snapshot = catalogue.snapshot()
    assert (snapshot.services, snapshot.endpoint_slices) == ({}, {})
    assert catalogue.is_empty()


def test_services_and_their_endpoints_where_a_proxy_wants_them(of_services: Catalogue) -> None:
    of_services.add("v1", "Service", named("web", spec={"clusterIP": "10.96.0.1"}), "f, document 1")
    of_services.add(DISCOVERY, "EndpointSlice", slice_named("web-1", "10.0.0.1"), "f, document 2")
    of_services.add("v1", "Endpoints", named("db", subsets=subsets("10.0.0.2")), "f, document 3")
    of_services.add("v1", "Pod", {"metadata": 5}, "f, document 4")
    snapshot = of_services.snapshot()
    assert snapshot.services == {("x", "web"): Service("x", "web", (address("10.96.0.1"),), uid="uid-of-x-web")}
    assert snapshot.endpoint_slices == {
        ("x", "web-1"): serving("web-1", "10.0.0.1"),
        ("x", "db"): serving("db", "10.0.0.2", "db"),
    }
    assert snapshot.pods == {}


@pytest.mark.parametrize("first", ["Endpoints", "EndpointSlice"])
def test_slices_speak_for_their_service_whatever_comes_first(of_services: Catalogue, first: str) -> None:
    objects = [("v1", "Endpoints", named("web", subsets=subsets("10.0.0.9")))]
    objects.insert(first == "Endpoints", (DISCOVERY, "EndpointSlice", slice_named("web", "10.0.0.1")))
    for api_version, kind, fields in objects:
        of_services.add(api_version, kind, fields, "f")
    assert of_services.snapshot().endpoint_slices == {("x", "web"): serving("web", "10.0.0.1")}


def test_one_slice_of_both_versions_is_one(of_services: Catalogue) -> None:
    of_services.add(DISCOVERY, "EndpointSlice", slice_named("web-1", "10.0.0.1", nodeName="n1"), "f, document 1")
    beta = slice_named("web-1", "10.0.0.1", topology={"kubernetes.io/hostname": "n1"})
    of_services.add("discovery.k8s.io/v1beta1", "EndpointSlice", beta, "g, document 1")
    assert of_services.snapshot().endpoint_slices == {("x", "web-1"): serving("web-1", "10.0.0.1", node="n1")}


@pytest.mark.parametrize(
    ("api_version", "kind", "first", "second"),
    [
        ("v1", "Service", named("web"), named("web", spec={"clusterIP": "10.96.0.1"})),
        (DISCOVERY, "EndpointSlice", slice_named("web", "10.0.0.1"), slice_named("web", "10.0.0.2")),
        ("v1", "Endpoints", named("web"), named("web", subsets=subsets("10.0.0.2"))),
    ],
)
def test_two_services_of_one_name_that_differ_are_refused(
    of_services: Catalogue, api_version: str, kind: str, first: dict[str, object], second: dict[str, object]
) -> None:
    of_services.add(api_version, kind, first, "f, document 1")
    with pytest.raises(Malformed, match=f"{kind} x/web is also in f, document 1, and says something else there"):
        of_services.add(api_version, kind, second, "g, document 7")


def test_what_of_services_is_not_understood_is_noticed(of_services: Catalogue) -> None:
    of_services.add("v1", "Service", named("web", spec={"clusterIP": "nonsense"}), "f")
    of_services.add(DISCOVERY, "EndpointSlice", slice_named("web-1", "nonsense"), "f")
    assert [str(notice) for notice in of_services.notices()] == [
        "Service x/web: spec.clusterIP: 'nonsense' is no IP address",
        "EndpointSlice x/web-1: endpoints[0].addresses[0]: 'nonsense' is no IP address",
    ]
