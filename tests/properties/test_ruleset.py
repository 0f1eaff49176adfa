"""What holds for the ruleset of any world, whatever its policies mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import TypeVar

import pytest
import refusals
from builders import namespace, node, pod, policy
from hypothesis import given
from hypothesis import strategies as st
from tracer import Outcome, Packet, Tracer
from worlds import NODE_NAMES, snapshots

from netpol.compiler.compile import compile_ruleset
from netpol.compiler.names import is_ours
from netpol.compiler.ruleset import FILTER_HOOKS, AddToSet, Hook, InSet, Rule, Ruleset, SetReference, SetType
from netpol.model.networks import Address, Family, family_of
from netpol.model.policies import Policy, Semantics
from netpol.model.ports import Protocol
from netpol.model.snapshot import Snapshot
from netpol.settings import NodeOptions

OPTIONS = st.builds(
    NodeOptions,
    st.sampled_from(NODE_NAMES),
    families=st.sampled_from([tuple(Family), (Family.IPV4,), (Family.IPV6,)]),
    fail_open=st.booleans(),
)
MAX_CHAIN_NAME, MAX_SET_NAME = 28, 31


def rules(ruleset: Ruleset) -> Iterator[Rule]:
    for table in ruleset.tables.values():
        yield from table.hooks.values()
        for chain in table.chains.values():
            yield from chain


def sets_in_use(ruleset: Ruleset) -> set[str]:
    """Every set that a rule names, and what such a set lists."""
    parts = (part for rule in rules(ruleset) for part in (*rule.matches, rule.target))
    named = {part.name for part in parts if isinstance(part, InSet | AddToSet)}
    listed = {
        member.name for name in named for member in ruleset.sets[name].members if isinstance(member, SetReference)
    }
    return named | listed


@given(snapshots(), OPTIONS)
def test_the_kernel_takes_it(snapshot: Snapshot, options: NodeOptions) -> None:
    ruleset = compile_ruleset(snapshot, options)
    assert ruleset.tables.keys() == set(options.families)
    assert all(set(table.hooks) == set(FILTER_HOOKS) for table in ruleset.tables.values())
    refusals.check(ruleset)


@given(snapshots(), OPTIONS)
def test_its_names_are_ours_and_fit(snapshot: Snapshot, options: NodeOptions) -> None:
    ruleset = compile_ruleset(snapshot, options)
    chains = {name for table in ruleset.tables.values() for name in table.chains}
    assert all(is_ours(name) for name in chains | set(ruleset.sets))
    assert all(len(name) <= MAX_CHAIN_NAME for name in chains)
    assert all(len(name) <= MAX_SET_NAME for name in ruleset.sets)


@given(snapshots(), OPTIONS)
def test_nothing_in_it_is_unused(snapshot: Snapshot, options: NodeOptions) -> None:
    ruleset = compile_ruleset(snapshot, options)
    assert set(ruleset.sets) == sets_in_use(ruleset)
    for family, table in ruleset.tables.items():
        reached = {chain for rule in table.hooks.values() for chain in refusals.chains_after((rule,))}
        onward = {after for chain in table.chains.values() for after in refusals.chains_after(chain)}
        assert set(table.chains) == reached | onward, family


Key = TypeVar("Key")
Value = TypeVar("Value")


def shuffled(data: st.DataObject, objects: Mapping[Key, Value]) -> dict[Key, Value]:
    """The same objects, in another order."""
    return dict(data.draw(st.permutations(list(objects.items()))))


@given(st.data(), snapshots(), OPTIONS)
def test_the_order_of_the_objects_does_not_matter(
    data: st.DataObject, snapshot: Snapshot, options: NodeOptions
) -> None:
    other = Snapshot(
        shuffled(data, snapshot.namespaces),
        shuffled(data, snapshot.pods),
        shuffled(data, snapshot.nodes),
        shuffled(data, snapshot.policies),
    )
    assert compile_ruleset(other, options) == compile_ruleset(snapshot, options)


@given(snapshots(), OPTIONS)
def test_families_do_not_depend_on_each_other(snapshot: Snapshot, options: NodeOptions) -> None:
    """One family's table is the same with and without the other."""
    both = compile_ruleset(snapshot, NodeOptions(options.name, fail_open=options.fail_open))
    for family, table in compile_ruleset(snapshot, options).tables.items():
        assert table == both.tables[family]


@given(snapshots(), OPTIONS)
def test_pods_nobody_isolates_cost_no_chain_and_no_set(snapshot: Snapshot, options: NodeOptions) -> None:
    """What the node has then is what it has without any policy."""
    open_world = Snapshot(
        {name: namespace(name) for name in snapshot.namespaces},
        snapshot.pods,
        snapshot.nodes,
        {name: each for name, each in snapshot.policies.items() if not _selects_a_pod_of(options.name, each, snapshot)},
    )
    bare = Snapshot(open_world.namespaces, snapshot.pods, snapshot.nodes, {})
    ruleset = compile_ruleset(open_world, options)
    assert ruleset == compile_ruleset(bare, options)
    peers = (SetType.SETS, SetType.ADDRESS_PORTS)
    assert not any(each.type in peers for each in ruleset.sets.values() if each.is_ours_to_fill)
    assert all(not each.members for each in ruleset.sets.values() if each.type is SetType.ADDRESSES)


def _selects_a_pod_of(name: str, tested: Policy, snapshot: Snapshot) -> bool:
    return tested.semantics is Semantics.V1 and any(
        each.node == name and each.namespace == tested.namespace and tested.pods.matches(each.labels)
        for each in snapshot.pods.values()
    )


@given(snapshots(), OPTIONS)
def test_of_other_nodes_only_addresses_are_here(snapshot: Snapshot, options: NodeOptions) -> None:
    """Policies that select pods of other nodes only change nothing on this one."""
    relevant = {
        name: each
        for name, each in snapshot.policies.items()
        if any(
            pod.node == options.name and pod.namespace == each.namespace and each.pods.matches(pod.labels)
            for pod in snapshot.pods.values()
        )
    }
    without = Snapshot(snapshot.namespaces, snapshot.pods, snapshot.nodes, relevant)
    assert compile_ruleset(without, options) == compile_ruleset(snapshot, options)


def _powers_of_two(start: Address, bits: int) -> list[Address]:
    return [start + (1 << bit) for bit in range(bits)]


@pytest.mark.parametrize(
    "addresses",
    [_powers_of_two(IPv4Address("10.0.0.0"), 16), _powers_of_two(IPv6Address("fd00::"), 110)],
    ids=["IPv4", "IPv6"],
)
def test_addresses_that_share_few_bits_reach_their_chains_too(addresses: list[Address]) -> None:
    """A tree that splits such addresses at their first differing bit is as deep as there are addresses."""
    family = family_of(addresses[0])
    snapshot = Snapshot.of(
        [namespace("x")],
        [pod(f"x/pod-{index}", str(each), node="n1") for index, each in enumerate(addresses)],
        [node("n1")],
        [policy("x/deny")],
    )
    tracer = Tracer(compile_ruleset(snapshot, NodeOptions("n1")))
    outside = addresses[0] - 1
    for each in addresses:
        found = tracer.trace(family, Hook.FORWARD, Packet(outside, each, Protocol.TCP, 80))
        assert found.verdict is Outcome.DROPPED
    beside = tracer.trace(family, Hook.FORWARD, Packet(addresses[0], addresses[-1] + 1, Protocol.TCP, 80))
    assert beside.verdict is Outcome.ACCEPTED
