"""No packet and no connection is judged wrongly while hundreds of things happen in the cluster (G11)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import pytest
from builders import BOTH, EGRESS, namespace, pod, pods, policy, rule, world
from cluster import BASE, FAR, OTHER, Cluster
from live import gone, known
from live_node import LiveNode
from stream import Streams
from waiting import wait_until

from netpol.lab.flows import Flow, Speaker
from netpol.model.facts import Fact
from netpol.model.networks import Family

pytestmark = pytest.mark.kernel

EVENTS = 200
PORTS = ("80/TCP", "53/UDP")
RED_API = pods("app=api", namespaces="team=red")
ALWAYS = rule(peers=[RED_API], ports=PORTS)


# --- what happens, without a part in what the probed pairs may do

GUARDS = [
    policy("x/guard", "app=web", ingress=[ALWAYS]),
    policy("x/guard", "app=web", ingress=[rule(peers=[RED_API]), rule(peers=[pods("tier=front")], ports=["81/TCP"])]),
    policy("x/guard", "app=web", ingress=[ALWAYS, rule(peers=[pods("tier=front", namespaces="team=red")])]),
    policy("x/guard", "app=web", ingress=[rule(peers=[pods("app in (api,other)")])], directions=BOTH),
    policy("x/guard", ingress=[rule(peers=[pods("app=api")])]),
]
"""Each lets x/api reach x/web and keeps y/job from it."""

OTHERS = [
    policy("x/more", "tier=front", ingress=[rule(peers=[pods(namespaces="")])]),
    policy("x/out", "app=api", egress=[rule(peers=[pods("app=web")], ports=PORTS)], directions=EGRESS),
    policy("y/deny", directions=frozenset(BOTH)),
    policy("y/some", "app=job", egress=[rule(peers=[pods("app=web", namespaces="")])], directions=EGRESS),
]


def a_guard(chance: random.Random) -> Fact:
    return known(chance.choice(GUARDS))


def another_policy(chance: random.Random) -> Fact:
    each = chance.choice(OTHERS)
    return chance.choice([known, gone])(each)


def a_relabelled_pod(chance: random.Random) -> Fact:
    each = chance.choice([FAR, OTHER])
    return known(replace(each, labels=chance.choice([{"app": "web"}, {"tier": "front"}, {"app": "other"}, {}])))


def a_relabelled_namespace(chance: random.Random) -> Fact:
    return known(namespace("y", chance.choice(["team=red", "team=blue", ""]), deny=chance.random() < 0.3))


def a_pod_that_comes_or_goes(chance: random.Random) -> Fact:
    number = chance.randrange(5)
    new = pod(
        f"x/new-{number}",
        f"10.1.0.{20 + number}",
        f"fd01::2{number}",
        labels=chance.choice(["app=web", ""]),
        node="one",
    )
    return chance.choice([known, gone])(new)


HAPPENINGS: list[Callable[[random.Random], Fact]] = [
    a_guard,
    a_guard,
    another_policy,
    a_relabelled_pod,
    a_relabelled_namespace,
    a_pod_that_comes_or_goes,
]


def events(seed: int, count: int) -> Iterator[Fact]:
    chance = random.Random(seed)
    return (chance.choice(HAPPENINGS)(chance) for _ in range(count))


# --- openings


def test_no_opening_is_judged_wrongly_at_any_moment(cluster: Cluster) -> None:
    allowed = [("x/api", "x/web", port, family) for port in PORTS for family in Family]
    denied = [("y/job", "x/web", port, family) for port in PORTS for family in Family]
    open_ones = {cluster.question(*each): each for each in allowed}
    shut_ones = {cluster.question(*each): each for each in denied}
    with LiveNode(cluster, world(*BASE, GUARDS[0])) as node, Streams([*open_ones, *shut_ones]) as streams:
        for number, event in enumerate(events(seed=1, count=EVENTS)):
            node.say(event)
            streams.open_round()
            # Now and then several are taken together.
            time.sleep(0.002 if number % 5 else 0.03)
        begun = time.monotonic()
        node.until_right()
        assert time.monotonic() - begun < 5
        streams.finish()
        assert node.metric("sync_failures_total") == 0
        assert node.metric("batches_total") > 20
    assert min(streams.sent.values()) > 25
    assert {each: streams.sent[q] - streams.arrived[q] for q, each in open_ones.items()} == dict.fromkeys(allowed, 0)
    assert {each: streams.arrived[q] for q, each in shut_ones.items()} == dict.fromkeys(denied, 0)


# --- connections that are open


def _all_cut(flows: Sequence[Flow], speaker: Speaker) -> bool:
    return not any(each.passes(speaker, 0.05) for each in flows)


def test_no_allowed_connection_breaks_and_no_denied_one_lives(cluster: Cluster) -> None:
    turns, port = 6, 5000
    open_world = world(*BASE, policy("x/guard", "app=web", ingress=[rule()]))
    chance = random.Random(2)
    with LiveNode(cluster, open_world) as node:
        lasting = [
            Flow(cluster.lab.endpoint("x/api", family), cluster.place("x/web", each, family))
            for family in Family
            for each in PORTS
        ]
        for turn in range(turns):
            node.say(*map(gone, OTHERS), known(policy("x/guard", "app=web", ingress=[rule()])), known(namespace("y")))
            node.until_right()
            tightened = [
                Flow(cluster.lab.endpoint("y/job", family), cluster.place("x/web", f"{port + turn}/{kind}", family))
                for family in Family
                for kind in ("TCP", "UDP")
            ]
            node.say(*events(seed=turn, count=EVENTS // turns), known(chance.choice(GUARDS)))
            node.until_right()
            first, second = (Speaker.SERVER, Speaker.CLIENT) if turn % 2 else (Speaker.CLIENT, Speaker.SERVER)
            # They are cut right after the rules are there, and not before anybody could look at those.
            wait_until(partial(_all_cut, tightened, first), "what is denied is cut")
            for speaker in (first, second, first):
                assert [each.passes(speaker, 0.05) for each in tightened] == [False] * len(tightened)
            for speaker in Speaker:
                assert all(each.passes(speaker) for each in lasting)
            for each in tightened:
                each.close()
        for each in lasting:
            each.close()
