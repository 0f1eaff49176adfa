"""The controller, whatever facts reach it in whatever groups and whatever the kernel refuses on the way.

What is promised between two groups is promised of each end of a connection by itself, as
ends on different nodes pass by themselves too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from zlib import crc32

import pytest
from between import FAMILIES, Opening, programmed, verdicts
from builders import namespace, pod, pods, policy, rule, world
from hypothesis import given, settings
from hypothesis import strategies as st
from live import Live, after, known, listing
from tracer import Packet
from worlds import NODE_NAMES, all_addresses, own_addresses, snapshots

from netpol.compiler.compile import compile_ruleset
from netpol.compiler.engine import Engine
from netpol.compiler.ruleset import FILTER_HOOKS, Rule, Ruleset, Table
from netpol.control.batches import batches
from netpol.dataplane.apply import apply
from netpol.dataplane.kernel import Flow
from netpol.dataplane.plan import Stale, plan
from netpol.dataplane.shadow import Shadow
from netpol.dataplane.steps import WriteTable
from netpol.model.facts import FIREWALL_KINDS, Fact, Kind, lists
from netpol.model.networks import Address, family_of
from netpol.model.objects import Namespace, Node, Pod
from netpol.model.policies import Direction, Policy
from netpol.model.ports import Protocol
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import Enforcement
from netpol.policy.judgement import Connection, End, NodeEnd, PodEnd
from netpol.policy.verdict import Oracle
from netpol.settings import NodeOptions

NODE = NODE_NAMES[0]
OPTIONS = NodeOptions(NODE)
PORTS: tuple[tuple[Protocol, int | None], ...] = (
    (Protocol.TCP, 80),
    (Protocol.UDP, 80),
    (Protocol.TCP, 53),
    (Protocol.ICMP, None),
)
OPENINGS_PER_WORLD = 60


# --- what happens to a cluster


_OTHER = {Enforcement.ENFORCE: Enforcement.AUDIT, Enforcement.AUDIT: Enforcement.ENFORCE}


@st.composite
def facts(draw: st.DrawFn, worlds: Sequence[Snapshot]) -> Fact:
    """An object of some world, as it is there, a little different, or gone."""
    fact = draw(st.sampled_from([fact for each in worlds for fact in listing(each)]))
    match fact.value:
        case Pod() as pod:
            other = draw(st.sampled_from([each for world in worlds for each in world.pods.values()]))
            changed = (
                pod,
                replace(pod, labels=other.labels),
                replace(pod, ports=other.ports),
                replace(pod, addresses=other.addresses, host_network=other.host_network, node=other.node),
                replace(pod, finished=not pod.finished),
            )
            return Fact(fact.key, draw(st.sampled_from((None, *changed))))
        case Namespace() as namespace:
            changed_namespace = (
                namespace,
                replace(namespace, default_deny=not namespace.default_deny),
                replace(namespace, enforcement=_OTHER[namespace.enforcement]),
            )
            return Fact(fact.key, draw(st.sampled_from((None, *changed_namespace))))
        case Policy() as stated:
            turned = replace(stated, enforcement=_OTHER[stated.enforcement])
            return Fact(fact.key, draw(st.sampled_from((stated, turned, None))))
        case _:
            return Fact(fact.key, draw(st.sampled_from((fact.value, fact.value, None))))


@st.composite
def histories(draw: st.DrawFn, most_groups: int = 6) -> tuple[Snapshot, list[list[Fact]]]:
    """A cluster, and what happens to it in groups that are taken at once; its own node stays as it is."""
    worlds = draw(st.lists(snapshots(max_pods=8, max_policies=5), min_size=2, max_size=2))
    group = st.lists(facts(worlds).filter(lambda fact: fact.key.kind is not Kind.NODE), min_size=1, max_size=6)
    return worlds[0], draw(st.lists(group, min_size=1, max_size=most_groups))


# --- in the end


@given(histories(), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40)), max_size=3))
def test_the_kernel_ends_as_the_naive_compile_of_the_last_cluster(
    history: tuple[Snapshot, list[list[Fact]]], refusals: list[tuple[int, int]]
) -> None:
    """Whatever operation the kernel refuses in whichever group."""
    first, groups = history
    live, refused = Live(OPTIONS).started(first), dict(refusals)
    for number, group in enumerate(groups):
        live.record(*group)
        if number in refused:
            live.memory.journal.refuse(after=refused[number])
        live.step(after_seconds=0.05)
    live.memory.journal.refuse(after=1 << 30)
    live.retry()
    last = after(first, (fact for group in groups for fact in group))
    assert live.engine.snapshot == last
    assert live.holds(last)
    live.sweep()
    assert live.memory.sets.read().keys() == compile_ruleset(last, OPTIONS).sets.keys()


@given(histories(), st.permutations(FIREWALL_KINDS), st.integers(0, 400))
def test_it_starts_right_whatever_is_listed_last_and_whatever_is_refused(
    history: tuple[Snapshot, list[list[Fact]]], kinds: list[Kind], refused: int
) -> None:
    """Over what a run before left, of another time."""
    former, groups = history
    now = after(former, (fact for group in groups for fact in group))
    live = Live(OPTIONS, Live(OPTIONS).started(former).memory)
    held = live.memory.sets.read()
    live.memory.journal.refuse(after=refused)
    for kind in kinds:
        live.step()
        assert live.memory.sets.read() == held
        live.bus.replace(kind, lists(now)[kind])
    live.step()
    live.retry()
    assert live.holds(now)


# --- living connections


def connections(snapshot: Snapshot) -> list[Flow]:
    """Some connections between the addresses of a cluster, of which every end is somebody's or nobody's."""
    addresses = all_addresses(snapshot)
    return [
        Flow(source, destination, *PORTS[(one + other) % 3], handle=f"{source}>{destination}".encode())
        for one, source in enumerate(addresses)
        for other, destination in enumerate(addresses)
        if source.version == destination.version and source != destination
    ]


def refused_here(oracle: Oracle, own: frozenset[Address], snapshot: Snapshot, flow: Flow) -> bool:
    """True where a pod of this node that has an end of the connection refuses what opened it, or nobody has it."""
    node = snapshot.nodes.get(NODE, Node(NODE))
    if flow.source not in own and any(
        each not in own and is_unknown(oracle, node, each) for each in (flow.source, flow.destination)
    ):
        return True
    ends: list[End] = [
        NodeEnd(node, each) if each in own else oracle.end_at(each) for each in (flow.source, flow.destination)
    ]
    verdict = oracle.judge(Connection(ends[0], ends[1], flow.protocol or Protocol.ICMP, flow.port))
    return any(
        isinstance(end, PodEnd) and end.pod.node == NODE and not decision.allowed
        for end, decision in zip(ends, (verdict.egress, verdict.ingress), strict=True)
    )


def is_unknown(oracle: Oracle, node: Node, each: Address) -> bool:
    """G12."""
    end = oracle.end_at(each)
    return any(each in cidr for cidr in node.pod_cidrs) and not isinstance(end, PodEnd)


@given(histories(most_groups=4), st.integers(0, 60))
def test_what_is_denied_in_the_end_is_gone_and_what_never_was_lives(
    history: tuple[Snapshot, list[list[Fact]]], refused: int
) -> None:
    """G11: after every group, and after a refusal with the next attempt."""
    first, groups = history
    own = own_addresses(first, NODE)
    live = Live(OPTIONS, read_addresses=lambda: own)
    opened = connections(first)
    for each in opened:
        live.memory.flows.open(family_of(each.source), each)
    live.started(first)
    never_denied, now = set(opened), first
    for number, group in enumerate(groups):
        before = Oracle(now)
        never_denied = {each for each in never_denied if not refused_here(before, own, now, each)}
        live.record(*group)
        if number == 1:
            live.memory.journal.refuse(after=refused)
        live.step()
        live.memory.journal.refuse(after=1 << 30)
        live.retry()
        for fact in group:
            now = after(now, [fact])
            oracle = Oracle(now)
            never_denied = {each for each in never_denied if not refused_here(oracle, own, now, each)}
        living = {each for family in OPTIONS.families for each in live.memory.flows.read(family)}
        assert never_denied <= living
        assert [each for each in living if refused_here(Oracle(now), own, now, each)] == []


# --- while facts are carried out together


class Midway:
    """A kernel in memory while batches are carried out: its sets as they are read, and its rules as values."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._engine = Engine(OPTIONS)
        self._engine.apply(listing(snapshot))
        ruleset = self._engine.ruleset()
        self._memory, self._kernel = programmed(ruleset)
        self._shadow = Shadow(self._kernel.read(FAMILIES))
        self._tables = dict(ruleset.tables)

    def states(self, facts: Sequence[Fact]) -> Iterator[Ruleset]:
        """What the kernel holds after each step of each batch."""
        for batch in batches(self._engine, facts):
            held = self._shadow.part(batch.touched.sets, batch.touched.chains)
            steps = plan(batch.part, held, Stale.KEEP)
            for step in steps:
                apply((step,), self._kernel)
                if isinstance(step, WriteTable):
                    self._write(step, batch.part.tables[step.family].chains)
                yield Ruleset(self._memory.sets.read(), dict(self._tables))
            self._shadow.follow(steps)

    def is_right(self) -> bool:
        """True where the kernel, and what is said of it here, is what the naive compile makes of all facts."""
        ruleset = compile_ruleset(self._engine.snapshot, OPTIONS)
        return self._tables == ruleset.tables and not plan(ruleset, self._kernel.read(FAMILIES), Stale.KEEP)

    def _write(self, step: WriteTable, chains: Mapping[str, tuple[Rule, ...]]) -> None:
        table = self._tables[step.family]
        changed = {name: chains[name] for name in step.chains if name in chains}
        kept = {name: rules for name, rules in table.chains.items() if name not in step.chains}
        self._tables[step.family] = Table(table.hooks, kept | changed)


def openings(addresses: Iterable[Address], own: frozenset[Address], salt: int) -> list[Opening]:
    """Some opening packets between the addresses, each at a hook."""
    ends = sorted(set(addresses), key=lambda each: (each.version, int(each)))
    pairs = [(a, b) for a in ends for b in ends if a.version == b.version and a != b]
    share = OPENINGS_PER_WORLD / (len(pairs) * len(PORTS) + 1) * 2**32
    return [
        (FILTER_HOOKS[index % 3], Packet(source, destination, *port, local=own))
        for source, destination in pairs
        for index, port in enumerate(PORTS)
        if crc32(source.packed + destination.packed, index << 8 | salt) < share
    ]


def assert_agreed_on(first: Snapshot, group: Sequence[Fact], salt: int) -> None:
    """After no step is an end more open, or more closed, than in all clusters between the first fact and the last."""
    clusters = [first]
    for fact in group:
        clusters.append(after(clusters[-1], [fact]))
    asked = openings([each for one in clusters for each in all_addresses(one)], own_addresses(first, NODE), salt)
    usual = [verdicts(compile_ruleset(each, OPTIONS), asked) for each in clusters]
    midway = Midway(first)
    for state in midway.states(group):
        found = verdicts(state, asked)
        for direction in Direction:
            for index, (hook, packet) in enumerate(asked):
                agreed = {each[direction][index] for each in usual}
                assert found[direction][index] in agreed, f"{packet} at {hook}, {direction.value}"
    assert midway.is_right()


@settings(max_examples=60)
@given(histories(most_groups=1), st.integers(0, 255))
def test_what_all_clusters_in_between_agree_on_holds_after_every_step(
    history: tuple[Snapshot, list[list[Fact]]], salt: int
) -> None:
    first, (group,) = history
    assert_agreed_on(first, group, salt)


FRIENDS = rule([pods("app=friend")])
WEB = pod("x/web", "10.0.0.2", labels="app=web", node=NODE)
SHARING = pod("x/sharing", "10.0.0.3", labels="app=sharing", node=NODE)
STRANGER = pod("x/stranger", "10.0.0.4", node=NODE)
CLUSTER = world(
    *(namespace("x"), WEB, SHARING, STRANGER, pod("x/friend", "10.0.0.5", labels="app=friend", node=NODE)),
    *(policy("x/web", "app=web", ingress=[FRIENDS]), policy("x/sharing", "app=sharing", ingress=[FRIENDS])),
)
NO_FRIENDS_ANY_MORE = known(policy("x/web", "app=web"))
A_NEW_FRIEND = known(replace(STRANGER, labels={"app": "friend"}))


def test_a_new_friend_is_not_let_in_by_who_has_just_stopped_having_friends() -> None:
    assert_agreed_on(CLUSTER, [NO_FRIENDS_ANY_MORE, A_NEW_FRIEND], salt=0)


def test_which_one_plan_of_both_would_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The set that both pods' lists have gains the friend before one of the lists loses the set."""
    monkeypatch.setattr("netpol.control.batches.crosses", lambda *_: False)
    with pytest.raises(AssertionError, match=r"10\.0\.0\.4"):
        assert_agreed_on(CLUSTER, [NO_FRIENDS_ANY_MORE, A_NEW_FRIEND], salt=0)
