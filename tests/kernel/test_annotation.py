"""The beta annotation isolates a namespace for ingress, and what was open is cut when it comes (B1-B4, G11)."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import beta, namespace, pod, pods, policy, rule
from cluster import CLIENT, EVERYBODY, ONE, Cluster
from world_manifests import Manifest

from netpol.lab.flows import Flow, Speaker
from netpol.model.networks import Family
from netpol.model.objects import ISOLATION_ANNOTATION
from netpol.settings import PolicyOptions

pytestmark = pytest.mark.kernel

ISOLATED_X = namespace("x", "team=red", deny=True)
ONLY_API_ON_81 = beta("x/only-api", "app=web", ingress=[rule(peers=[pods("app=api")], ports=["81/TCP"])])

DEFAULT_DENY = '{"ingress": {"isolation": "DefaultDeny"}}'
ISOLATING = {
    "as-documented": DEFAULT_DENY,
    "bare": '{"ingress":{"isolation":"DefaultDeny"}}',
    "with-more": '{"ingress":{"isolation":"DefaultDeny","more":1},"egress":{"isolation":"none"}}',
}
OPEN = {
    "empty": "{}",
    "empty-ingress": '{"ingress":{}}',
    "null-ingress": '{"ingress":null}',
    "null-isolation": '{"ingress":{"isolation":null}}',
    "lower-case": '{"ingress":{"isolation":"defaultdeny"}}',
    "other-word": '{"ingress":{"isolation":"None"}}',
}
GARBAGE = {
    "no-json": '{"ingress":{"isolation":"DefaultDeny"}',
    "no-object": '["ingress"]',
    "nothing": "",
    "bare-word": "DefaultDeny",
}


def annotated(name: str, text: str) -> Manifest:
    """The namespace with this annotation."""
    metadata = {"name": name, "annotations": {ISOLATION_ANNOTATION: text}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def test_the_annotation_isolates_all_pods_of_its_namespace_as_destinations(cluster: Cluster) -> None:
    cluster.enforce(ISOLATED_X)
    table = cluster.probe("80/TCP", "53/UDP", "ICMP")
    for port in ("80/TCP", "53/UDP", "ICMP"):
        assert table.reaching("x/web", port) == table.reaching("x/far", port) == set()
        assert table.reaching("y/job", port) == EVERYBODY - {"y/job"}
        assert table.reached_from("x/web", port) == EVERYBODY - {"x/web", "x/api", "x/far"}


def test_taking_the_annotation_away_opens_the_namespace(cluster: Cluster) -> None:
    cluster.enforce(ISOLATED_X)
    assert not cluster.reaches("x/api", "x/web")
    cluster.enforce()
    assert cluster.probe("80/TCP").reaching("x/web") == EVERYBODY - {"x/web"}


def test_policies_without_the_annotation_have_no_effect(cluster: Cluster) -> None:
    cluster.enforce(ONLY_API_ON_81)
    assert cluster.probe("80/TCP").reaching("x/web") == EVERYBODY - {"x/web"}


def test_policies_with_the_annotation_open_what_they_say(cluster: Cluster) -> None:
    cluster.enforce(ISOLATED_X, ONLY_API_ON_81)
    table = cluster.probe("80/TCP", "81/TCP")
    assert table.reaching("x/web", "81/TCP") == {"x/api"}
    assert table.reaching("x/web", "80/TCP") == set()
    assert table.reaching("x/api", "81/TCP") == set()


@pytest.mark.parametrize("strict", [False, True], ids=["lenient", "strict"])
def test_only_the_documented_value_isolates(tmp_path: Path, namespaces: None, strict: bool) -> None:
    texts = ISOLATING | OPEN | GARBAGE
    targets = [
        pod(f"{name}/pod", f"10.1.0.{number}", f"fd01::{number}", node="one")
        for number, name in enumerate(texts, start=20)
    ]
    with Cluster(tmp_path, [ONE, *targets], [CLIENT]) as alone:
        manifests = [annotated(name, text) for name, text in texts.items()]
        alone.write(raw=manifests, options=PolicyOptions(strict_annotations=strict))
        alone.run(*(["--strict-annotations"] if strict else []))
        reached = alone.probe("80/TCP", sources=["outside/client"]).reached_from("outside/client")
    assert reached == {f"{name}/pod" for name in (OPEN if strict else OPEN | GARBAGE)}


@pytest.mark.parametrize("first", list(Speaker), ids=lambda speaker: speaker.value)
@pytest.mark.parametrize("family", list(Family), ids=lambda family: family.name)
def test_an_established_flow_is_cut_whoever_speaks_next(cluster: Cluster, family: Family, first: Speaker) -> None:
    cluster.enforce()
    second = Speaker.SERVER if first is Speaker.CLIENT else Speaker.CLIENT
    near = Flow(cluster.lab.endpoint("y/job", family), cluster.place("x/web", "80/TCP", family))
    far = Flow(cluster.lab.endpoint("y/other", family), cluster.place("x/web", "81/TCP", family))
    outer = Flow(cluster.lab.endpoint("outside/client", family), cluster.place("x/web", "82/TCP", family))
    with near, far, outer:
        assert all(flow.passes(speaker) for flow in (near, far, outer) for speaker in Speaker)
        cluster.enforce(ISOLATED_X)
        for flow in (near, far, outer):
            assert not flow.passes(first, 0.3)
            assert not flow.passes(second, 0.3)
            assert not flow.passes(first, 0.3)


@pytest.mark.parametrize("first", list(Speaker), ids=lambda speaker: speaker.value)
def test_a_flow_is_cut_where_its_own_pod_may_no_longer_send(cluster: Cluster, first: Speaker) -> None:
    cluster.enforce()
    second = Speaker.SERVER if first is Speaker.CLIENT else Speaker.CLIENT
    near = Flow(cluster.lab.endpoint("x/web"), cluster.place("y/job"))
    far = Flow(cluster.lab.endpoint("x/web"), cluster.place("y/other"))
    with near, far:
        cluster.enforce(policy("x/silent", "app=web", egress=[rule(peers=[pods("app=api")])]))
        for flow in (near, far):
            assert not flow.passes(first, 0.3)
            assert not flow.passes(second, 0.3)


def test_flows_that_stay_allowed_live_on_and_so_do_the_nodes_own(cluster: Cluster) -> None:
    cluster.enforce()
    lab = cluster.lab
    with (
        Flow(lab.endpoint("x/api"), cluster.place("x/web", "81/TCP")) as allowed,
        Flow(lab.endpoint("y/job"), cluster.place("y/other", "81/TCP")) as untouched,
        Flow(lab.endpoint("x/web"), cluster.place("y/job", "81/TCP")) as outward,
        Flow(lab.endpoint("node/one"), cluster.place("x/web", "80/TCP")) as of_the_node,
        Flow(lab.endpoint("node/one"), cluster.place("outside/server", "80/TCP")) as to_the_outside,
        Flow(lab.endpoint("outside/client"), cluster.place("node/one", "80/TCP")) as from_the_outside,
        Flow(lab.endpoint("x/web"), cluster.place("node/one", "81/TCP")) as to_the_node,
    ):
        cluster.enforce(ISOLATED_X, ONLY_API_ON_81)
        flows = {
            "allowed": allowed,
            "untouched": untouched,
            "outward": outward,
            "of the node": of_the_node,
            "to the outside": to_the_outside,
            "from the outside": from_the_outside,
            "to the node": to_the_node,
        }
        assert [name for name, flow in flows.items() if not all(map(flow.passes, Speaker))] == []
