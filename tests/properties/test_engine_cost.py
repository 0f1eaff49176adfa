"""What an event costs the engine depends on what it touches, not on how large the cluster is.

Work is counted in calls of functions, which are the same at every run on every machine.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType

import pytest
from builders import namespace, node, pod, pods, policy, rule

from netpol.compiler.compile import compile_ruleset
from netpol.compiler.engine import Engine
from netpol.model.facts import Fact, Key, Kind
from netpol.model.objects import Namespace, Node, Pod
from netpol.model.policies import Policy
from netpol.settings import NodeOptions

OPTIONS = NodeOptions("n1")
SMALL, LARGE = 1_000, 10_000
PODS_OF_A_NAMESPACE = 50
MOST_TIMES = 1.5
"""A dictionary that grows at the one size and not at the other is no reason to fail."""

Object = Namespace | Pod | Node | Policy


def put(value: Object) -> Fact:
    match value:
        case Pod():
            return Fact(Key(Kind.POD, value.namespace, value.name), value)
        case Policy():
            return Fact(Key(Kind.NETWORK_POLICY, value.namespace, value.name), value)
        case Namespace():
            return Fact(Key(Kind.NAMESPACE, "", value.name), value)
        case Node():
            return Fact(Key(Kind.NODE, "", value.name), value)


def peer(number: int, text: str = "app=web") -> Pod:
    place = number // PODS_OF_A_NAMESPACE
    address = f"10.{1 + place // 250}.{place % 250}.{number % PODS_OF_A_NAMESPACE + 1}"
    return pod(f"ns-{place}/pod-{number}", address, labels=text, node=f"n{2 + place}")


def cluster(size: int) -> Iterator[Fact]:
    """Namespaces of like pods and policies; this node has two pods of each of the first ten, and isolates one."""
    for place in range(size // PODS_OF_A_NAMESPACE):
        yield put(namespace(f"ns-{place}", f"team=t{place}"))
        yield put(node(f"n{2 + place}", f"172.16.{place // 250}.{place % 250 + 1}", pod_cidrs=["10.250.0.0/24"]))
        for number in range(place * PODS_OF_A_NAMESPACE, (place + 1) * PODS_OF_A_NAMESPACE):
            yield put(peer(number, f"app=app-{number % 5}"))
        for number in range(5):
            allowed = rule([pods(f"app=app-{number}"), pods(namespaces=f"team=t{place - 1}")], ["80/TCP"])
            yield put(policy(f"ns-{place}/policy-{number}", f"app=app-{number}", ingress=[allowed]))
    yield put(node("n1", "172.16.255.1", pod_cidrs=["10.0.0.0/24"]))
    for number in range(20):
        text = "app=free" if number % 2 else "app=app-1"
        yield put(pod(f"ns-{number // 2}/own-{number}", f"10.0.0.{number + 1}", labels=text, node="n1"))


OPEN = policy("ns-3/new", "app=app-1", ingress=[rule([pods("app=app-2")], ["443/TCP"])])

EVENTS: dict[str, list[Fact]] = {
    "a peer comes": [put(pod("ns-3/new", "10.99.0.1", labels="app=app-1", node="n9"))],
    "a peer is relabelled": [put(peer(3 * PODS_OF_A_NAMESPACE + 1, "app=app-4"))],
    "a peer goes": [Fact(Key(Kind.POD, "ns-3", f"pod-{3 * PODS_OF_A_NAMESPACE}"), None)],
    "a namespace is relabelled": [put(namespace("ns-3", "team=t4"))],
    "a namespace is annotated": [put(namespace("ns-3", "team=t3", deny=True))],
    "a policy comes": [put(OPEN)],
    "a policy goes": [Fact(Key(Kind.NETWORK_POLICY, "ns-3", "policy-1"), None)],
    "a pod of this node comes": [put(pod("ns-3/new", "10.0.0.99", labels="app=app-1", node="n1"))],
}


def calls(act: Callable[[], object]) -> int:
    """How many functions, of Python and of C, are called meanwhile."""
    count = 0

    def note(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    former = sys.getprofile()
    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(former)
    return count


@pytest.fixture(scope="module")
def engines() -> dict[int, Engine]:
    made = {size: Engine(OPTIONS) for size in (SMALL, LARGE)}
    for size, engine in made.items():
        engine.apply(cluster(size))
    return made


@pytest.mark.parametrize("facts", EVENTS.values(), ids=EVENTS)
def test_an_event_costs_as_much_in_a_cluster_ten_times_as_large(engines: dict[int, Engine], facts: list[Fact]) -> None:
    cost: dict[int, int] = {}
    for size, engine in engines.items():
        former = [Fact(each.key, _known(engine, each.key)) for each in facts]
        engine.apply(facts)
        engine.apply(former)
        # What is kept from one time to the next is there at both sizes.
        cost[size] = calls(partial(engine.apply, facts))
        assert engine.apply(former), "the event touches this node's kernel"
    assert cost[LARGE] <= MOST_TIMES * cost[SMALL]


def _known(engine: Engine, key: Key) -> object | None:
    snapshot = engine.snapshot
    match key.kind:
        case Kind.POD:
            return snapshot.pods.get(key.object_name)
        case Kind.NETWORK_POLICY:
            return snapshot.policies.get(key.object_name)
        case _:
            return snapshot.namespaces.get(key.name)


def test_a_compile_of_the_whole_costs_far_more_there(engines: dict[int, Engine]) -> None:
    small, large = (calls(partial(compile_ruleset, engine.snapshot, OPTIONS)) for engine in engines.values())
    assert large > 3 * MOST_TIMES * small
