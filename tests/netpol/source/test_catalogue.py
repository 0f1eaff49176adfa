"""Objects once each, with notices for what was not understood and warnings for what was not used."""

from __future__ import annotations

import pytest
from builders import namespace, node, pod, policy, rule

from netpol.model.policies import Semantics
from netpol.settings import PolicyOptions
from netpol.source.catalogue import Catalogue
from netpol.source.fields import Malformed

NETWORKING = "networking.k8s.io/v1"
EXTENSIONS = "extensions/v1beta1"


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
