"""What manifests lack is added, and what they say is left as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from netpol.demo.completion import Completed, complete
from netpol.errors import NetpolError
from netpol.model.objects import Node, Pod
from netpol.model.snapshot import Snapshot
from netpol.settings import PolicyOptions
from netpol.source.fields import Fields
from netpol.source.manifests import load


def pod(name: str, **spec_and_status: object) -> Fields:
    status = spec_and_status.pop("status", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "x"},
        "spec": spec_and_status,
        "status": status,
    }


def node(name: str, *ranges: str) -> Fields:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"podCIDRs": ranges}}


def completed(tmp_path: Path, *objects: Fields) -> tuple[Snapshot, Completed]:
    """What the completed manifests say when they are loaded in their turn."""
    given, target = tmp_path / "given", tmp_path / "completed"
    for directory in (given, target):
        directory.mkdir(exist_ok=True)
    for number, fields in enumerate(objects):
        (given / f"{number}.json").write_text(json.dumps(fields), encoding="utf-8")
    result = complete(given, load(given, PolicyOptions()).snapshot)
    result.write(target / "all.json")
    return load(target, PolicyOptions()).snapshot, result


def only(snapshot: Snapshot, name: str) -> Pod:
    return snapshot.pods["x", name]


def words(found: Pod | Node) -> list[str]:
    return [str(address) for address in found.addresses]


def test_complete_manifests_stay_as_they_are(tmp_path: Path) -> None:
    status = {"phase": "Running", "podIPs": [{"ip": "10.1.0.5"}]}
    before = node("n", "10.1.0.0/24"), pod("a", nodeName="n", status=status)
    snapshot, result = completed(tmp_path, *before)
    assert result.additions == ()
    assert words(only(snapshot, "a")) == ["10.1.0.5"]
    assert only(snapshot, "a").node == "n"
    assert [str(network) for network in snapshot.nodes["n"].pod_cidrs] == ["10.1.0.0/24"]


def test_pods_without_anything_are_spread_over_the_nodes_and_get_addresses_of_their_ranges(tmp_path: Path) -> None:
    nodes = node("one", "10.1.0.0/24", "fd01::/64"), node("two", "10.2.0.0/24")
    snapshot, _ = completed(tmp_path, *nodes, pod("a"), pod("b"), pod("c"))
    assert [only(snapshot, name).node for name in "abc"] == ["one", "two", "one"]
    assert [words(only(snapshot, name)) for name in "abc"] == [
        ["10.1.0.10", "fd01::a"],
        ["10.2.0.10"],
        ["10.1.0.11", "fd01::b"],
    ]
    assert all(found.actionable for found in snapshot.pods.values())


def test_without_any_node_there_is_one(tmp_path: Path) -> None:
    snapshot, result = completed(tmp_path, pod("a"))
    assert list(snapshot.nodes) == ["node-1"]
    assert words(only(snapshot, "a")) == ["10.244.1.10", "fd00:10:244:1::a"]
    assert len(result.additions) == 2


def test_nodes_that_only_pods_name_are_made(tmp_path: Path) -> None:
    snapshot, result = completed(tmp_path, pod("a", nodeName="n"), pod("b"))
    assert list(snapshot.nodes) == ["n"]
    assert only(snapshot, "b").node == "n"
    assert "nodes made for the pods that run on them: n" in result.additions


def test_an_address_is_given_once_and_never_one_that_a_pod_has(tmp_path: Path) -> None:
    status = {"podIPs": [{"ip": "10.1.0.10"}]}
    snapshot, _ = completed(tmp_path, node("n", "10.1.0.0/24"), pod("a"), pod("b", status=status), pod("c"))
    found = [words(only(snapshot, name)) for name in "abc"]
    assert found == [["10.1.0.11"], ["10.1.0.10"], ["10.1.0.12"]]


def test_a_pod_with_an_address_runs_on_the_node_of_its_range(tmp_path: Path) -> None:
    nodes = node("one", "10.1.0.0/24"), node("two", "10.2.0.0/24")
    snapshot, _ = completed(tmp_path, *nodes, pod("a", status={"podIPs": [{"ip": "10.2.0.7"}]}))
    assert only(snapshot, "a").node == "two"


def test_a_made_up_range_holds_no_pod_s_address(tmp_path: Path) -> None:
    status = {"podIPs": [{"ip": "10.244.1.9"}]}
    snapshot, _ = completed(tmp_path, pod("a", nodeName="n", status=status), pod("b", nodeName="n"))
    assert words(only(snapshot, "b")) == ["10.244.2.10", "fd00:10:244:2::a"]


def test_finished_pods_are_left_alone_and_host_networking_gets_no_address(tmp_path: Path) -> None:
    finished = pod("done", status={"phase": "Succeeded"})
    snapshot, _ = completed(tmp_path, node("n", "10.1.0.0/24"), finished, pod("host", hostNetwork=True))
    assert only(snapshot, "done").finished
    assert words(only(snapshot, "done")) == words(only(snapshot, "host")) == []
    assert only(snapshot, "host").node == "n"


def test_workloads_become_pods(tmp_path: Path) -> None:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 80}]}]},
    }
    deployment: Fields = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "x"},
        "spec": {"replicas": 2, "template": template},
    }
    snapshot, result = completed(tmp_path, deployment, node("n", "10.1.0.0/24"))
    assert sorted(name for _, name in snapshot.pods) == ["web-1", "web-2"]
    assert only(snapshot, "web-1").labels == {"app": "web"}
    assert [port.number for port in only(snapshot, "web-1").ports] == [80]
    assert result.additions == ("Deployment x/web has no pods here: x/web-1 and x/web-2 made from its template",)


def test_policies_and_namespaces_go_along_and_secrets_do_not(tmp_path: Path) -> None:
    objects: list[Fields] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x", "labels": {"a": "b"}}},
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "p", "namespace": "x"},
            "spec": {"podSelector": {}},
        },
        {"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "metadata": {"name": "c"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "x"}, "data": {}},
    ]
    snapshot, result = completed(tmp_path, *objects, pod("a"))
    assert snapshot.namespaces["x"].labels["a"] == "b"
    assert list(snapshot.policies) == [("x", "p")]
    kinds = {fields["kind"] for fields in result.objects}
    assert kinds == {"Namespace", "NetworkPolicy", "ClusterNetworkPolicy", "Node", "Pod"}


def test_a_range_can_be_full(tmp_path: Path) -> None:
    with pytest.raises(NetpolError, match=r"node n has no address left in 10\.1\.0\.0/30 for its pods"):
        completed(tmp_path, node("n", "10.1.0.0/30"), pod("a"), pod("b"))


def test_many_names_are_cut_short(tmp_path: Path) -> None:
    pods = [
        pod(name, nodeName=f"n{name}", status={"podIP": f"10.0.0.{number}"}) for number, name in enumerate("abcdef")
    ]
    _, result = completed(tmp_path, *pods)
    assert result.additions == ("nodes made for the pods that run on them: na, nb, nc and 3 more",)
