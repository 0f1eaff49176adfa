from __future__ import annotations

import pytest

from netpol.errors import UsageError
from netpol.model.objects import Node, Pod
from netpol.model.snapshot import Snapshot
from netpol.source.presence import require_node

POD = Pod("web", "front", node="n1")


@pytest.mark.parametrize(
    "snapshot",
    [Snapshot.of(nodes=[Node("n1"), Node("n2")]), Snapshot.of(pods=[POD]), Snapshot.of(nodes=[Node("n2")], pods=[POD])],
)
def test_a_node_is_known_by_its_object_or_by_a_pod(snapshot: Snapshot) -> None:
    assert require_node(snapshot, "n1") == ""


def test_a_name_that_no_node_has_is_refused_where_nodes_are_named() -> None:
    nodes = [Node(f"n{number}") for number in range(9)]
    with pytest.raises(UsageError, match="no node is named n10; the manifests name n0, n1, n2, n3 and 5 more"):
        require_node(Snapshot.of(nodes=nodes, pods=[POD]), "n10")
    with pytest.raises(UsageError, match="the API server's objects name n0, n1"):
        require_node(Snapshot.of(nodes=nodes, pods=[POD]), "n10", "the API server's objects")


def test_manifests_without_nodes_cannot_tell_a_wrong_name() -> None:
    assert "neither a node nor a pod of n2" in require_node(Snapshot.of(pods=[POD]), "n2")
    assert "neither a node nor a pod of n2" in require_node(Snapshot.of(), "n2")
