"""The controller of a pod, whatever stands in its owner references."""

from __future__ import annotations

import pytest

from netpol.source.owners import workload_of

HASH = {"pod-template-hash": "5d4f8c7b9"}


def owner(kind: object, name: object, controller: object = True) -> dict[str, object]:
    return {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": controller}


@pytest.mark.parametrize(
    ("kind", "name", "workload"),
    [
        ("ReplicaSet", "web-5d4f8c7b9", "Deployment/web"),
        ("ReplicaSet", "web-canary-5d4f8c7b9", "Deployment/web-canary"),
        ("ReplicaSet", "web-6f6f6f6f6", "ReplicaSet/web-6f6f6f6f6"),
        ("ReplicaSet", "web", "ReplicaSet/web"),
        ("ReplicaSet", "-5d4f8c7b9", "ReplicaSet/-5d4f8c7b9"),
        ("ReplicaSet", "5d4f8c7b9", "ReplicaSet/5d4f8c7b9"),
        ("ReplicaSet", "web5d4f8c7b9", "ReplicaSet/web5d4f8c7b9"),
        ("StatefulSet", "db-5d4f8c7b9", "StatefulSet/db-5d4f8c7b9"),
        ("Job", "backup-28374823", "Job/backup-28374823"),
        ("Node", "worker-1", ""),
    ],
)
def test_the_controller_by_its_kind_and_name(kind: str, name: str, workload: str) -> None:
    assert workload_of({"ownerReferences": [owner(kind, name)]}, HASH) == workload


@pytest.mark.parametrize("labels", [{}, {"pod-template-hash": ""}, {"app": "web"}])
def test_without_its_hash_a_replica_set_is_its_own(labels: dict[str, str]) -> None:
    references = [owner("ReplicaSet", "web-5d4f8c7b9")]
    assert workload_of({"ownerReferences": references}, labels) == "ReplicaSet/web-5d4f8c7b9"
    assert workload_of({"ownerReferences": [owner("ReplicaSet", "web-")]}, labels) == "ReplicaSet/web-"


def test_only_the_owner_that_controls_counts() -> None:
    others = [owner("Foo", "a", controller=False), owner("Foo", "b", controller=None), owner("Foo", "c", "true")]
    assert workload_of({"ownerReferences": [*others, owner("DaemonSet", "agent")]}, {}) == "DaemonSet/agent"
    assert workload_of({"ownerReferences": others}, {}) == ""


@pytest.mark.parametrize(
    "references",
    [
        *(None, [], {}, "x", 5),
        *([None], ["x"], [[]], [{}]),
        *([owner(None, "a")], [owner("Job", None)], [owner("", "a")], [owner("Job", "")], [owner(5, ["a"])]),
    ],
)
def test_what_has_no_such_shape_is_no_workload(references: object) -> None:
    assert workload_of({"ownerReferences": references}, HASH) == ""
    assert workload_of({}, HASH) == ""
