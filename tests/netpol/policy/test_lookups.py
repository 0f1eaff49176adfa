"""What the oracle looks up, made of a whole snapshot."""

from __future__ import annotations

from builders import address, node, pod, policy, world

from netpol.model.objects import Node
from netpol.policy.lookups import Lookups, known_nodes

HOST = "192.168.0.1"
SNAPSHOT = world(
    node("n2", HOST),
    node("n1", HOST, pod_cidrs=["10.0.0.0/24"]),
    pod("x/web", "10.0.0.1", node="n1"),
    pod("x/host", "192.168.0.9", node="n1", host_network=True),
    pod("x/done", "192.168.0.8", node="n1", host_network=True, finished=True),
    pod("x/far", "10.0.1.1", node="n3"),
    policy("x/b"),
    policy("x/a"),
    policy("y/a"),
)


def test_a_node_is_what_its_object_and_its_pods_tell_of_it() -> None:
    """V9."""
    cidrs = SNAPSHOT.nodes["n1"].pod_cidrs
    own = (address(HOST), address("192.168.0.9"))
    assert known_nodes(SNAPSHOT) == {"n1": Node("n1", own, cidrs), "n2": SNAPSHOT.nodes["n2"], "n3": Node("n3")}


def test_addresses_stand_for_pods_and_for_the_first_of_the_nodes_that_have_them() -> None:
    found = Lookups.of(SNAPSHOT)
    assert {str(each): str(pod) for each, pod in found.pods_by_address.items()} == {
        "10.0.0.1": "x/web",
        "10.0.1.1": "x/far",
    }
    assert {str(each): node.name for each, node in found.nodes_by_address.items()} == {HOST: "n1", "192.168.0.9": "n1"}


def test_policies_are_found_by_their_namespace() -> None:
    found = Lookups.of(SNAPSHOT).policies_by_namespace
    assert {place: sorted(policies) for place, policies in found.items()} == {"x": ["a", "b"], "y": ["a"]}
