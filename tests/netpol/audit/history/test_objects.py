"""The objects as facts leave them, and what timelines are told of it."""

from __future__ import annotations

from collections.abc import Iterable

from builders import address, namespace, node, pod, policy, world
from history import NODE, facts

from netpol.audit.history.objects import Objects
from netpol.audit.history.timeline import Memory
from netpol.audit.history.world import Timelines
from netpol.compiler.log_points import pod_digest
from netpol.model.facts import Fact, Key, Kind
from netpol.model.objects import Namespace, Node, Pod
from netpol.model.policies import Policy

A, B = pod("x/a", "10.0.0.1", node=NODE), pod("x/b", "10.0.0.2", node="n2")
HOST = pod("x/host", "192.168.0.1", node=NODE, host_network=True)


class Kept:
    """Objects of a node with their timelines, of which each step is a moment."""

    def __init__(self) -> None:
        self.objects = Objects(NODE)
        self.memory = Memory(0)
        self.timelines: Timelines = self.objects.timelines(self.memory)

    def told(self, facts: Iterable[Fact]) -> bool:
        self.memory.advance(self.memory.now + 1)
        return self.objects.replace(facts, self.timelines)

    def add(self, *objects: Namespace | Pod | Node | Policy) -> bool:
        return self.told(facts(world(), world(*objects)))


def test_every_kind_is_kept() -> None:
    kept = Kept()
    assert kept.add(A, namespace("x"), node("n2", "192.168.0.2"), policy("x/p"), policy("x/q"))
    timelines = kept.timelines
    assert timelines.pods.current == {("x", "a"): A}
    assert timelines.holders.current == {address("10.0.0.1"): A}
    assert timelines.namespaces.current == {"x": namespace("x")}
    assert timelines.nodes_by_address.current == {address("192.168.0.2"): node("n2", "192.168.0.2")}
    assert timelines.policies.current.keys() == {("x", "p"), ("x", "q")}
    assert timelines.policies_by_namespace.current == {"x": {"p": policy("x/p"), "q": policy("x/q")}}


def test_of_several_facts_about_one_object_the_last_is_true() -> None:
    kept, key = Kept(), Key(Kind.POD, "x", "a")
    assert not kept.told([Fact(key, A), Fact(key, None)])
    assert kept.timelines.pods.current == {}


def test_what_is_the_same_is_no_change() -> None:
    kept = Kept()
    kept.add(A, policy("x/p"))
    assert not kept.add(A, policy("x/p"))
    assert not kept.told([Fact(Key(Kind.POD, "x", "never"), None)])


def test_the_policies_of_a_namespace_are_remembered_as_they_were() -> None:
    kept = Kept()
    kept.add(policy("x/p"))
    kept.told([Fact(Key(Kind.NETWORK_POLICY, "x", "q"), policy("x/q"))])
    kept.told([Fact(Key(Kind.NETWORK_POLICY, "x", name), None) for name in "pq"])
    told = [kept.timelines.policies_by_namespace.at("x", moment) for moment in range(4)]
    assert told == [None, {"p": policy("x/p")}, {"p": policy("x/p"), "q": policy("x/q")}, None]


def test_only_pods_with_chains_of_this_node_have_a_digest() -> None:
    """V9: a hostNetwork pod has no chain."""
    kept = Kept()
    kept.add(A, B, HOST)
    assert kept.timelines.local_pods.current == {pod_digest("x", "a"): A}


def test_a_pod_that_moves_to_another_node_is_gone_from_this_one() -> None:
    kept = Kept()
    kept.add(A)
    kept.told([Fact(Key(Kind.POD, "x", "a"), pod("x/a", "10.0.0.9", node="n2"))])
    digest = pod_digest("x", "a")
    assert kept.timelines.local_pods.at(digest, 1) == A
    assert kept.timelines.local_pods.at(digest, 2) is None
