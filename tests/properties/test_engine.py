"""The engine, whatever facts reach it in whatever order, against the naive compile of the cluster that they tell of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from between import kernel_of
from hypothesis import given
from hypothesis import strategies as st
from worlds import NODE_NAMES, all_addresses, own_addresses, snapshots

from netpol.compiler.compile import compile_ruleset
from netpol.compiler.engine import Engine, Touched
from netpol.compiler.ruleset import Ruleset
from netpol.dataplane.apply import Kernel, apply
from netpol.dataplane.kernel import KernelTable
from netpol.dataplane.memory import MemoryKernel
from netpol.dataplane.plan import Held, plan
from netpol.model.facts import FIREWALL_KINDS, Fact, Key, Kind
from netpol.model.networks import Address, Family, family_of, parse_network
from netpol.model.objects import Namespace, Node, Pod
from netpol.model.policies import Direction, Policy
from netpol.model.ports import Protocol
from netpol.model.snapshot import Snapshot, holders
from netpol.model.treatment import AuditLevel, DenyAction, Enforcement, Treatment
from netpol.policy.judgement import Connection, Verdict
from netpol.policy.verdict import Detail, Oracle
from netpol.settings import NodeOptions

NODE = NODE_NAMES[0]
OWN_NODE = Key(Kind.NODE, "", NODE)
Batch = list[Fact]
Stating = TypeVar("Stating", Namespace, Policy)

OPTIONS = st.builds(
    NodeOptions,
    st.just(NODE),
    families=st.sampled_from([tuple(Family), tuple(Family), (Family.IPV4,), (Family.IPV6,)]),
    pod_cidrs=st.sampled_from([(), (parse_network("10.0.0.0/28"),), (parse_network("0.0.0.0/0"),)]),
    fail_open=st.sampled_from((False, False, False, True)),
    treatment=st.builds(Treatment, st.sampled_from(AuditLevel), st.sampled_from(DenyAction)),
)

# --- what a source may say


def listing(snapshot: Snapshot) -> Batch:
    """A fact for every object."""
    return [
        *(Fact(Key(Kind.POD, *name), pod) for name, pod in snapshot.pods.items()),
        *(Fact(Key(Kind.NAMESPACE, "", name), each) for name, each in snapshot.namespaces.items()),
        *(Fact(Key(Kind.NODE, "", name), each) for name, each in snapshot.nodes.items()),
        *(Fact(Key(Kind.NETWORK_POLICY, *name), each) for name, each in snapshot.policies.items()),
    ]


def relist(kind: Kind, former: Snapshot, listed: Snapshot) -> Batch:
    """What a complete list of one kind says to who knew another: what is not in it is gone."""
    there = {fact.key: fact for fact in listing(listed) if fact.key.kind is kind}
    gone = (Fact(fact.key, None) for fact in listing(former) if fact.key.kind is kind and fact.key not in there)
    return [*gone, *there.values()]


@st.composite
def facts(draw: st.DrawFn, worlds: Sequence[Snapshot]) -> Fact:
    """Something about one object that some world has: it is as it is in one of them, or a little different, or gone."""
    fact = draw(st.sampled_from([fact for world in worlds for fact in listing(world)]))
    match fact.value:
        case Pod() as pod:
            other = draw(st.sampled_from([each for world in worlds for each in world.pods.values()]))
            variants = (
                pod,
                replace(pod, labels=other.labels),
                replace(pod, addresses=other.addresses, node=other.node, host_network=other.host_network),
                replace(pod, finished=not pod.finished),
                replace(pod, created=other.created),
                replace(pod, ports=other.ports),
                replace(pod, uid="another"),
            )
            return Fact(fact.key, draw(st.sampled_from((None, *variants))))
        case Namespace() as namespace:
            treated = replace(namespace, audit=draw(_LEVELS), deny_action=draw(_DENY_ACTIONS))
            return Fact(fact.key, draw(st.sampled_from((None, namespace, _turned(namespace), treated))))
        case Policy() as policy:
            return Fact(fact.key, draw(st.sampled_from((None, policy, policy, _turned(policy)))))
        case _:
            return Fact(fact.key, draw(st.sampled_from((None, fact.value, fact.value, fact.value))))


_LEVELS, _DENY_ACTIONS = st.sampled_from((None, *AuditLevel)), st.sampled_from((None, *DenyAction))


def _turned(stated: Stating) -> Stating:
    """The same, under audit where it was enforced, and the other way round."""
    other = Enforcement.ENFORCE if stated.enforcement is Enforcement.AUDIT else Enforcement.AUDIT
    return replace(stated, enforcement=other)


@st.composite
def histories(draw: st.DrawFn) -> list[Batch]:
    """Batches of facts: complete lists of one kind, several or all, and single changes, repeated and out of order."""
    worlds = [gathered(world) for world in draw(st.lists(snapshots(max_policies=12), min_size=2, max_size=3))]
    first, second = worlds[0], worlds[-1]
    kinds = draw(st.permutations(FIREWALL_KINDS))
    started: list[Batch] = draw(
        st.sampled_from([[listing(first)], [relist(kind, first, first) for kind in kinds], [[*listing(first)][::-1]]])
    )
    single = facts(worlds)
    later = st.one_of(
        *[st.lists(single, min_size=1, max_size=1)] * 4,
        st.lists(single, min_size=2, max_size=12),
        st.sampled_from(
            [relist(kind, *pair) for kind in FIREWALL_KINDS for pair in ((first, second), (second, first))]
        ),
    )
    return [*started, *draw(st.lists(later, min_size=8, max_size=20))]


def gathered(snapshot: Snapshot) -> Snapshot:
    """The world with two of its namespaces made one and more of its pods on the node, where policies meet them."""
    pods = [
        replace(pod, namespace=_MERGED.get(pod.namespace, pod.namespace), node=NODE if index % 2 else pod.node)
        for index, pod in enumerate(snapshot.pods.values())
    ]
    return Snapshot.of(snapshot.namespaces.values(), pods, snapshot.nodes.values(), snapshot.policies.values())


_MERGED = {"grey": "red", "blue": "green"}


# --- what is true then


def as_kept(known: Node, value: object | None) -> Node:
    """The own node, which is not forgotten, nor where its pods are."""
    return replace(value, pod_cidrs=value.pod_cidrs or known.pod_cidrs) if isinstance(value, Node) else known


class World:
    """The cluster that facts tell of, by nothing but the last fact about each object."""

    def __init__(self) -> None:
        self._objects: dict[Key, object] = {}

    def learn(self, batch: Batch) -> None:
        """The facts are true, of several about one object the last."""
        for key, value in {fact.key: fact.value for fact in batch}.items():
            known = self._objects.get(key) if key == OWN_NODE else None
            now = as_kept(known, value) if isinstance(known, Node) else value
            if now is None:
                self._objects.pop(key, None)
            else:
                self._objects[key] = now

    def snapshot(self) -> Snapshot:
        """All of it."""
        objects = self._objects.values()
        return Snapshot.of(
            [each for each in objects if isinstance(each, Namespace)],
            [each for each in objects if isinstance(each, Pod)],
            [each for each in objects if isinstance(each, Node)],
            [each for each in objects if isinstance(each, Policy)],
        )


def differing(before: Mapping[str, object], after: Mapping[str, object]) -> frozenset[str]:
    """The names whose values are not the same."""
    return frozenset(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def difference(before: Ruleset, after: Ruleset) -> tuple[frozenset[str], frozenset[str]]:
    """The names of the sets and of the chains that differ."""
    chains = [differing(before.tables[family].chains, after.tables[family].chains) for family in after.tables]
    return differing(before.sets, after.sets), frozenset().union(*chains)


def after(options: NodeOptions, history: Sequence[Batch]) -> Iterator[tuple[Engine, World, Touched]]:
    """The engine after each batch, the world that it should know, and what the batch touched."""
    engine, world = Engine(options), World()
    for batch in history:
        touched = engine.apply(batch)
        world.learn(batch)
        yield engine, world, touched


@given(OPTIONS, histories())
def test_it_is_what_the_naive_compile_makes_of_the_same_cluster(options: NodeOptions, history: list[Batch]) -> None:
    ruleset = compile_ruleset(World().snapshot(), options)
    assert Engine(options).ruleset() == ruleset
    for engine, world, touched in after(options, history):
        assert engine.snapshot == world.snapshot()
        former, ruleset = ruleset, compile_ruleset(world.snapshot(), options)
        assert engine.ruleset() == ruleset
        assert (touched.sets, touched.chains) == difference(former, ruleset)


@given(OPTIONS, histories())
def test_facts_that_are_known_touch_nothing(options: NodeOptions, history: list[Batch]) -> None:
    """Nor do objects that go before anybody knew them."""
    for engine, _, _ in after(options, history):
        known = listing(engine.snapshot)
        assert not engine.apply(known)
        assert not engine.apply([Fact(fact.key._replace(name="nowhere"), None) for fact in known])


# --- a part of it is enough


def held_of(kernel: Kernel, touched: Touched, families: Sequence[Family]) -> Held:
    """What the kernel holds under these names."""
    tables = {family: kernel.tables.read(family) for family in families}
    return Held(
        {name: each for name, each in kernel.sets.read().items() if name in touched.sets},
        {
            family: KernelTable(
                table.hooks, {name: rules for name, rules in table.chains.items() if name in touched.chains}
            )
            for family, table in tables.items()
        },
    )


@given(OPTIONS, histories())
def test_its_parts_lead_the_kernel_where_the_whole_does(options: NodeOptions, history: list[Batch]) -> None:
    families = options.families
    kernel = kernel_of(MemoryKernel())
    apply(plan(Engine(options).ruleset(), kernel.read(families)), kernel)
    for engine, _, touched in after(options, history):
        part = engine.part(touched)
        assert part.sets.keys() <= touched.sets
        assert all(table.chains.keys() <= touched.chains for table in part.tables.values())
        apply(plan(part, held_of(kernel, touched, families)), kernel)
        whole = engine.ruleset()
        assert kernel.sets.read() == whole.sets
        assert plan(whole, kernel.read(families)) == ()


# --- the oracle


def questions(snapshot: Snapshot) -> list[tuple[Address, Address, Protocol, int | None]]:
    """Connections between the addresses of a world, some of nobody among them."""
    addresses = all_addresses(snapshot)
    openings = [(Protocol.TCP, 80), (Protocol.TCP, 81), (Protocol.UDP, 53), (Protocol.ICMP, None)]
    return [
        (source, destination, *openings[(one + other) % len(openings)])
        for one, source in enumerate(addresses)
        for other, destination in enumerate(addresses)
        if source.version == destination.version and source != destination
    ]


def judged(oracle: Oracle, question: tuple[Address, Address, Protocol, int | None], detail: Detail) -> Verdict:
    """The oracle's answer."""
    source, destination, protocol, port = question
    return oracle.judge(Connection(oracle.end_at(source), oracle.end_at(destination), protocol, port), detail)


@given(OPTIONS, histories())
def test_its_oracle_answers_as_one_of_the_whole_snapshot(options: NodeOptions, history: list[Batch]) -> None:
    for engine, world, _ in after(options, history):
        snapshot = world.snapshot()
        found, expected = engine.oracle(), Oracle(snapshot)
        assert all(found.end_at(each) == expected.end_at(each) for each in all_addresses(snapshot))
        for question in questions(snapshot)[:: len(history) * 4]:
            assert judged(found, question, Detail.FULL) == judged(expected, question, Detail.FULL)


@given(OPTIONS, histories())
def test_it_knows_who_holds_each_address(options: NodeOptions, history: list[Batch]) -> None:
    for engine, world, _ in after(options, history):
        pods = world.snapshot().pods
        assert engine.holders == holders(pods.values())
        local = {a: p for a, p in holders(pods.values()).items() if p.node == NODE}
        assert sorted(engine.pod_addresses, key=str) == sorted(local, key=str)


# --- what may cut


@given(OPTIONS, histories())
def test_what_a_pod_is_newly_denied_is_told(options: NodeOptions, history: list[Batch]) -> None:
    """G11: a flow of an address that a pod of this node held before, and that nothing told of, is denied no more."""
    former = World().snapshot()
    for _, world, touched in after(options, history):
        snapshot = world.snapshot()
        if not touched.moved and not touched.rejudged:
            before, now = Oracle(former), Oracle(snapshot)
            for question in questions(former):
                if not nodes_at(former, snapshot).intersection(question[:2]):
                    assert denied(now, question, former, options) <= denied(before, question, former, options)
        former = snapshot


def nodes_at(*snapshots: Snapshot) -> frozenset[Address]:
    """Addresses of nodes: which of them are this one's the kernel knows by itself."""
    return frozenset().union(*(own_addresses(each, name) for each in snapshots for name in NODE_NAMES))


def denied(
    oracle: Oracle,
    question: tuple[Address, Address, Protocol, int | None],
    former: Snapshot,
    options: NodeOptions,
) -> set[Direction]:
    """The sides that refuse it, of those where a pod of this node was."""
    verdict = judged(oracle, question, Detail.REASONS)
    here = {
        address
        for address, pod in holders(former.pods.values()).items()
        if pod.node == NODE and family_of(address) in options.families
    }
    sides = ((question[0], verdict.egress), (question[1], verdict.ingress))
    return {decision.direction for address, decision in sides if address in here and not decision.allowed}
