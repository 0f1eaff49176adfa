"""Which pods a workload gets that has none."""

from __future__ import annotations

import pytest

from netpol.demo.raw import at, name_of
from netpol.demo.workloads import pods_of_workloads
from netpol.source.fields import Fields

NODES = ["one", "two"]


def workload(kind: str, **spec: object) -> dict[str, object]:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "ports": [{"containerPort": 8080}]}]},
    }
    return {"kind": kind, "metadata": {"name": "web", "namespace": "x"}, "spec": {"template": template, **spec}}


def names(objects: list[Fields]) -> list[str]:
    return ["/".join(name_of(pod)) for made in pods_of_workloads(objects, NODES) for pod in made.pods]


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        ("Deployment", {}, ["x/web-1"]),
        ("Deployment", {"replicas": 2}, ["x/web-1", "x/web-2"]),
        ("Deployment", {"replicas": 50}, ["x/web-1", "x/web-2"]),
        ("Deployment", {"replicas": 0}, []),
        ("Deployment", {"replicas": "many"}, ["x/web-1"]),
        ("ReplicaSet", {"replicas": 2}, ["x/web-1", "x/web-2"]),
        ("ReplicationController", {}, ["x/web-1"]),
        ("StatefulSet", {"replicas": 3}, ["x/web-0", "x/web-1"]),
        ("DaemonSet", {}, ["x/web-one", "x/web-two"]),
        ("Job", {}, []),
    ],
)
def test_how_many_and_how_called(kind: str, spec: dict[str, object], expected: list[str]) -> None:
    assert names([workload(kind, **spec)]) == expected


def test_a_pod_is_what_the_template_says() -> None:
    [made] = pods_of_workloads([workload("Deployment")], NODES)
    assert made.workload == "Deployment x/web"
    [pod] = made.pods
    assert pod["kind"] == "Pod"
    assert at(pod, "metadata")["labels"] == {"app": "web"}
    assert at(pod, "spec") == {"containers": [{"name": "c", "ports": [{"containerPort": 8080}]}]}


def test_a_daemon_set_s_pod_runs_on_its_node() -> None:
    [made] = pods_of_workloads([workload("DaemonSet")], NODES)
    assert [at(pod, "spec")["nodeName"] for pod in made.pods] == NODES


@pytest.mark.parametrize(
    ("namespace", "labels", "expected"),
    [
        ("x", {"app": "web", "pod-template-hash": "5f6"}, []),
        ("x", {"app": "other"}, ["x/web-1"]),
        ("y", {"app": "web"}, ["x/web-1"]),
    ],
)
def test_a_workload_with_pods_gets_none(namespace: str, labels: dict[str, str], expected: list[str]) -> None:
    pod = {"kind": "Pod", "metadata": {"name": "p", "namespace": namespace, "labels": labels}}
    assert names([workload("Deployment"), pod]) == expected


def test_what_a_deployment_owns_is_left_to_it() -> None:
    owned = workload("ReplicaSet", replicas=2)
    owned["metadata"] = {"name": "web-5f6", "namespace": "x", "ownerReferences": [{"kind": "Deployment"}]}
    assert names([workload("Deployment"), owned]) == ["x/web-1"]


def test_a_workload_without_a_template_is_none() -> None:
    assert names([{"kind": "Deployment", "metadata": {"name": "d"}, "spec": {}}]) == []
