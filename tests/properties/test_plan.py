"""A plan carried out: where it leads, what packets meet on the way, and what a refusal leaves behind."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from zlib import crc32

import pytest
from between import FAMILIES, Opening, assert_no_gap, programmed
from hypothesis import given, settings
from hypothesis import strategies as st
from tracer import Packet
from worlds import NODE_NAMES, all_addresses, own_addresses, snapshots

from netpol.compiler.compile import compile_ruleset
from netpol.compiler.ruleset import FILTER_HOOKS, Ruleset
from netpol.dataplane.apply import apply
from netpol.dataplane.plan import Held, plan
from netpol.errors import KernelRefusal
from netpol.model.networks import Address
from netpol.model.objects import Namespace, Pod
from netpol.model.policies import Peer, PodPeer, Policy, PolicyRule
from netpol.model.ports import Protocol
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import Enforcement
from netpol.settings import NodeOptions

NODE = NODE_NAMES[0]
OPTIONS = NodeOptions(NODE)
OPENINGS_PER_WORLD = 100
PORTS: tuple[tuple[Protocol, int | None], ...] = (
    (Protocol.TCP, 80),
    (Protocol.TCP, 53),
    (Protocol.UDP, 80),
    (Protocol.ICMP, None),
)


def compiled(snapshot: Snapshot) -> Ruleset:
    return compile_ruleset(snapshot, OPTIONS)


# --- one change


def events(snapshot: Snapshot, other: Snapshot) -> list[list[Snapshot]]:
    """The worlds that one event makes of `snapshot`, by its kind; what is new in them is as in `other`."""
    pods, policies, namespaces = snapshot.pods, snapshot.policies, snapshot.namespaces.values()
    kinds = [
        [_with_pod(snapshot, key, None) for key in pods],
        [_with_pod(snapshot, (each.namespace, "new"), replace(each, name="new")) for each in other.pods.values()],
        *(
            [
                _with_pod(snapshot, key, change(each, donor))
                for key, each in pods.items()
                for donor in other.pods.values()
            ]
            for change in (_relabelled, _with_ports, _moved, _ended)
        ),
        [_with_policy(snapshot, key, None) for key in policies],
        [
            _with_policy(snapshot, (each.namespace, "new"), replace(each, name="new"))
            for each in other.policies.values()
        ],
        [
            _with_policy(snapshot, key, replace(donor, name=key[1]))
            for key, each in policies.items()
            for donor in other.policies.values()
            if donor.namespace == each.namespace
        ],
        [
            _with_policy(snapshot, key, replace(each, enforcement=_OTHER[each.enforcement]))
            for key, each in policies.items()
        ],
        [_with_namespace(snapshot, replace(each, default_deny=not each.default_deny)) for each in namespaces],
        [_with_namespace(snapshot, replace(each, enforcement=_OTHER[each.enforcement])) for each in namespaces],
        [
            _with_namespace(snapshot, replace(each, audit=donor.audit, deny_action=donor.deny_action))
            for each in namespaces
            for donor in other.namespaces.values()
        ],
        [
            _with_namespace(snapshot, replace(each, labels=donor.labels))
            for each in namespaces
            for donor in other.namespaces.values()
        ],
    ]
    return [kind for kind in kinds if kind]


_OTHER = {Enforcement.ENFORCE: Enforcement.AUDIT, Enforcement.AUDIT: Enforcement.ENFORCE}


def _relabelled(pod: Pod, donor: Pod) -> Pod:
    return replace(pod, labels=donor.labels)


def _with_ports(pod: Pod, donor: Pod) -> Pod:
    return replace(pod, ports=donor.ports)


def _moved(pod: Pod, donor: Pod) -> Pod:
    return replace(pod, addresses=donor.addresses, host_network=donor.host_network)


def _ended(pod: Pod, donor: Pod) -> Pod:
    return replace(pod, finished=not pod.finished)


def _with_pod(snapshot: Snapshot, name: tuple[str, str], pod: Pod | None) -> Snapshot:
    others = {key: each for key, each in snapshot.pods.items() if key != name}
    return replace(snapshot, pods=others if pod is None else {**others, name: pod})


def _with_policy(snapshot: Snapshot, name: tuple[str, str], policy: Policy | None) -> Snapshot:
    others = {key: each for key, each in snapshot.policies.items() if key != name}
    return replace(snapshot, policies=others if policy is None else {**others, name: policy})


def _with_namespace(snapshot: Snapshot, namespace: Namespace) -> Snapshot:
    return replace(snapshot, namespaces={**snapshot.namespaces, namespace.name: namespace})


_MERGED = {"grey": "red", "blue": "green"}


def crowded(snapshot: Snapshot) -> Snapshot:
    """The world with its namespaces made fewer and its pods on one node, where they meet."""
    return Snapshot.of(
        snapshot.namespaces.values(),
        [
            replace(pod, namespace=_MERGED.get(pod.namespace, pod.namespace), node=NODE if pod.node else "")
            for pod in snapshot.pods.values()
        ],
        snapshot.nodes.values(),
        [_merged(policy) for policy in snapshot.policies.values()],
    )


def _merged(policy: Policy) -> Policy:
    home = _MERGED.get(policy.namespace, policy.namespace)

    def rule(rule: PolicyRule) -> PolicyRule:
        return replace(rule, peers=None if rule.peers is None else tuple(map(peer, rule.peers)))

    def peer(peer: Peer) -> Peer:
        return replace(peer, namespace=home) if isinstance(peer, PodPeer) and peer.namespace is not None else peer

    return replace(
        policy, namespace=home, ingress=tuple(map(rule, policy.ingress)), egress=tuple(map(rule, policy.egress))
    )


WORLDS = st.one_of(snapshots(), snapshots().map(crowded))


@st.composite
def changes(draw: st.DrawFn) -> tuple[Snapshot, Snapshot]:
    """A world, and the same one event later."""
    before = draw(WORLDS)
    kind = draw(st.sampled_from(events(before, draw(WORLDS))))
    return before, draw(st.sampled_from(kind))


# --- on the way


def openings(before: Snapshot, after: Snapshot, salt: int) -> list[Opening]:
    """Some packets between the addresses of both worlds, each at a hook: openings, and such in mid-stream."""
    addresses = sorted({*all_addresses(before), *all_addresses(after)}, key=lambda each: (each.version, int(each)))
    own = own_addresses(before, NODE) & own_addresses(after, NODE)
    local = _addresses_on_node(before) | _addresses_on_node(after)
    pairs = [
        (a, b) for a in addresses for b in addresses if a.version == b.version and a != b and (a in local or b in local)
    ]
    share = OPENINGS_PER_WORLD / (len(pairs) * len(PORTS) * 2 + 1) * 2**32
    return [
        (FILTER_HOOKS[index % 3], Packet(source, destination, *port, opening=opens, local=own))
        for source, destination in pairs
        for index, (port, opens) in enumerate(product(PORTS, (True, False)))
        if crc32(source.packed + destination.packed, index << 8 | salt) < share
    ]


def _addresses_on_node(snapshot: Snapshot) -> set[Address]:
    return {address for pod in snapshot.pods.values() if pod.node == NODE for address in pod.addresses}


@settings(max_examples=150)
@given(changes(), st.integers(0, 255))
def test_no_end_is_more_open_or_more_closed_in_between(change: tuple[Snapshot, Snapshot], salt: int) -> None:
    before, after = change
    assert_no_gap(compiled(before), compiled(after), openings(before, after, salt))


# --- where it leads


@given(snapshots(), snapshots())
def test_a_plan_leads_to_what_is_desired_and_then_there_is_nothing_to_do(before: Snapshot, after: Snapshot) -> None:
    memory, kernel = programmed(compiled(before))
    desired = compiled(after)
    apply(plan(desired, kernel.read(FAMILIES)), kernel)
    assert memory.sets.read() == desired.sets
    assert plan(desired, kernel.read(FAMILIES)) == ()


@given(snapshots())
def test_everything_goes_where_nothing_is_desired(before: Snapshot) -> None:
    _, kernel = programmed(compiled(before))
    apply(plan(Ruleset({}, {}), kernel.read(FAMILIES)), kernel)
    assert kernel.read(()) == Held({}, {})


@given(st.one_of(changes(), st.tuples(snapshots(), snapshots())), st.integers(0, 1 << 16))
def test_a_refusal_leaves_what_was_there(change: tuple[Snapshot, Snapshot], number: int) -> None:
    old, new = map(compiled, change)
    count = len(_operations(old, new))
    for refused in {number % count, count - 1} if count else ():
        memory, kernel = programmed(old)
        held = kernel.read(FAMILIES)
        steps = plan(new, held)
        memory.journal.refuse(after=refused)
        with pytest.raises(KernelRefusal, match="as the test told the kernel to") as raised:
            apply(steps, kernel)
        assert "not taken back" not in str(raised.value)
        assert kernel.read(FAMILIES) == held


def _operations(old: Ruleset, new: Ruleset) -> list[str]:
    """What carrying out the plan does, one by one."""
    memory, kernel = programmed(old)
    done = len(memory.journal.operations)
    apply(plan(new, kernel.read(FAMILIES)), kernel)
    return memory.journal.operations[done:]
