"""The engine's answers to single facts; tests/properties compares it with the naive compile on any."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import address, beta, block, namespace, node, pod, pods, policy, rule

from netpol.compiler import names
from netpol.compiler.compile import compile_ruleset
from netpol.compiler.engine import Engine, Touched
from netpol.model.facts import Fact, Key, Kind
from netpol.model.networks import Family
from netpol.model.objects import Namespace, Node, Pod
from netpol.model.policies import Direction, Policy
from netpol.model.ports import Protocol
from netpol.model.treatment import AuditLevel, DenyAction, Enforcement
from netpol.policy.judgement import Connection, Reason
from netpol.settings import NodeOptions

IN, FOUR = Direction.INGRESS, Family.IPV4
OPTIONS = NodeOptions("n1")
HERE = pod("x/here", "10.0.0.1", "fd00::1", node="n1", labels="app=web")
PEER = pod("y/peer", "10.0.1.1", node="n2", labels="app=client")
FROM_CLIENTS = policy("x/clients", "app=web", ingress=[rule([pods("app=client", namespaces="team=red")])])
RED = namespace("y", "team=red")
OWN_NODE = node("n1", "192.168.0.1", pod_cidrs=["10.0.0.0/24"])
CHAIN = names.pod_chain("x", "here", IN)

Object = Pod | Namespace | Node | Policy
_KINDS = {Pod: Kind.POD, Namespace: Kind.NAMESPACE, Node: Kind.NODE, Policy: Kind.NETWORK_POLICY}


def key(item: Object) -> Key:
    return Key(_KINDS[type(item)], item.namespace if isinstance(item, Pod | Policy) else "", item.name)


def there(*items: Object) -> list[Fact]:
    return [Fact(key(item), item) for item in items]


def gone(*items: Object) -> list[Fact]:
    return [Fact(key(item), None) for item in items]


def engine(*items: Object) -> Engine:
    made = Engine(OPTIONS)
    made.apply(there(*items))
    return made


def shared_sets(found: Engine) -> set[str]:
    return {name for name in found.ruleset().sets if name.startswith("NETPOL-P")}


# --- what is touched

CLUSTER: tuple[Object, ...] = (namespace("x"), RED, OWN_NODE, HERE, PEER, FROM_CLIENTS)


@pytest.mark.parametrize(
    ("facts", "moved", "rejudged"),
    [
        (gone(PEER), True, False),
        (there(replace(PEER, labels={})), True, False),
        (there(replace(RED, labels={})), True, False),
        (gone(RED), True, False),
        (gone(FROM_CLIENTS), False, True),
        (there(replace(FROM_CLIENTS, ingress=())), False, True),
        (there(namespace("x", deny=True)), False, False),
        (there(replace(HERE, labels={})), False, True),
        (there(replace(FROM_CLIENTS, enforcement=Enforcement.AUDIT)), False, True),
        (there(replace(namespace("x"), enforcement=Enforcement.AUDIT)), False, True),
        (gone(HERE), False, False),
        (there(pod("x/new", "10.0.0.2", node="n1", labels="app=web")), False, False),
        ([*gone(HERE), *there(replace(HERE, name="heir"))], False, True),
    ],
    ids=str,
)
def test_what_may_deny_living_flows_is_told(facts: list[Fact], *, moved: bool, rejudged: bool) -> None:
    """G11."""
    touched = engine(*CLUSTER).apply(facts)
    assert (touched.moved, touched.rejudged) == (moved, rejudged)


@pytest.mark.parametrize(
    "home",
    [
        replace(namespace("x"), enforcement=Enforcement.AUDIT),
        replace(namespace("x"), audit=AuditLevel.NONE),
        replace(namespace("x"), audit=AuditLevel.ALLOWS),
        replace(namespace("x"), deny_action=DenyAction.REJECT),
    ],
    ids=["enforcement", "none recorded", "allows recorded", "deny action"],
)
def test_pods_are_judged_anew_where_their_namespaces_annotations_change(home: Namespace) -> None:
    """X16, X17."""
    found = engine(*CLUSTER)
    assert CHAIN in found.apply(there(home)).chains
    assert found.ruleset() == compile_ruleset(found.snapshot, OPTIONS)
    assert CHAIN in found.apply(gone(home)).chains
    assert found.ruleset() == compile_ruleset(found.snapshot, OPTIONS)


def test_a_peer_touches_the_sets_that_mean_it_alone() -> None:
    found = engine(*CLUSTER)
    touched = found.apply(gone(PEER))
    assert touched.sets == {names.shared_set("P", FOUR, "pods [app=client] of namespaces [team=red]")}
    assert touched.chains == frozenset()
    part = found.part(touched)
    assert [set(each.members) for each in part.sets.values()] == [set()]
    assert all(not table.chains for table in part.tables.values())


@pytest.mark.parametrize(
    "facts",
    [
        there(replace(HERE, uid="another")),
        there(replace(PEER, labels={**PEER.labels, "tier": "x"})),
        there(pod("z/stranger", "10.0.2.1", node="n2")),
        there(policy("y/elsewhere"), policy("x/nobody", "app=nobody")),
        there(beta("x/inert", ingress=[rule()])),
        there(replace(RED, labels={**RED.labels, "more": "x"})),
        there(node("n2", "192.168.0.2")),
        [*gone(PEER), *there(PEER)],
        gone(pod("x/never-was")),
    ],
    ids=str,
)
def test_what_concerns_no_pod_of_this_node_touches_nothing(facts: list[Fact]) -> None:
    touched = engine(*CLUSTER).apply(facts)
    assert touched == Touched()
    assert not touched


def test_what_is_touched_by_two_batches_is_touched_by_both() -> None:
    one = Touched(frozenset("a"), frozenset("b"), moved=True)
    other = Touched(frozenset("c"), frozenset("b"), rejudged=True)
    assert one | other == Touched(frozenset("ac"), frozenset("b"), moved=True, rejudged=True)


def test_sets_of_peers_exist_for_as_long_as_a_pod_of_this_node_is_under_their_policy() -> None:
    found = engine(*CLUSTER)
    assert len(shared_sets(found)) == 2
    assert found.apply(gone(HERE)).sets >= shared_sets(engine(*CLUSTER))
    assert shared_sets(found) == set()


# --- the annotation


def test_an_annotation_isolates_the_pods_of_its_namespace_and_lets_beta_policies_count() -> None:
    """M4, B3; taken back, they are inert again."""
    found = engine(namespace("x"), HERE, beta("x/web", "app=web", ingress=[rule(None, ["80/TCP"])]))
    plain = found.ruleset()
    touched = found.apply(there(namespace("x", deny=True)))
    assert CHAIN in touched.chains
    assert touched.rejudged
    assert len(found.ruleset().tables[FOUR].chains[CHAIN]) == 3
    assert found.apply(gone(namespace("x"))).chains == touched.chains
    assert found.ruleset() == plain


# --- the own node


def range_of(found: Engine) -> set[str]:
    members = found.ruleset().sets[names.unknown_set(FOUR)].members
    return {str(each) for each in members}


@pytest.mark.parametrize("facts", [gone(OWN_NODE), there(node("n1", "192.168.0.1"))], ids=["gone", "without ranges"])
def test_the_own_nodes_pod_ranges_are_not_forgotten(facts: list[Fact]) -> None:
    """G12: whoever deletes the Node does not open its range."""
    found = engine(*CLUSTER)
    assert range_of(found)
    assert not found.apply(facts)
    assert found.snapshot.nodes["n1"] == OWN_NODE
    assert found.ruleset() == compile_ruleset(found.snapshot, OPTIONS)


def test_other_ranges_of_the_own_node_are_taken_over() -> None:
    found = engine(*CLUSTER)
    before = range_of(found)
    touched = found.apply(there(node("n1", pod_cidrs=["10.0.1.0/24"])))
    assert touched.sets == {names.unknown_set(FOUR)}
    assert range_of(found).isdisjoint(before)


def test_other_nodes_are_forgotten() -> None:
    found = engine(node("n2", "192.168.0.2"))
    found.apply(gone(node("n2")))
    assert found.snapshot.nodes == {}


# --- what there is


def test_before_any_fact_it_is_what_a_node_without_pods_has() -> None:
    assert Engine(OPTIONS).ruleset() == compile_ruleset(Engine(OPTIONS).snapshot, OPTIONS)


def test_it_says_whom_it_is_for() -> None:
    found = engine(*CLUSTER)
    assert (found.node, found.families) == ("n1", tuple(Family))
    assert set(found.pod_addresses) == set(HERE.addresses)
    assert found.holders[address("10.0.1.1")] is PEER


def test_its_oracle_knows_what_it_knows() -> None:
    found = engine(*CLUSTER)

    def reason() -> Reason:
        oracle = found.oracle()
        ends = (oracle.end_at(PEER.addresses[0]), oracle.end_at(HERE.addresses[0]))
        return oracle.judge(Connection(*ends, Protocol.TCP, 80)).ingress.reason

    assert reason() is Reason.RULE
    found.apply(there(replace(RED, labels={})))
    assert reason() is Reason.IMPLICIT_ISOLATION
    found.apply(gone(FROM_CLIENTS))
    assert reason() is Reason.NOT_ISOLATED


WRONG = [Fact(key(each), HERE if isinstance(each, Node) else OWN_NODE) for each in CLUSTER]


@pytest.mark.parametrize("fact", WRONG, ids=lambda fact: str(fact.key))
def test_a_value_of_another_kind_is_refused_and_nothing_has_changed(fact: Fact) -> None:
    found = engine(*CLUSTER)
    before = found.ruleset()
    with pytest.raises(TypeError, match=str(fact.key)):
        found.apply([*gone(HERE), fact])
    assert found.ruleset() == before
    assert found.snapshot.pods["x", "here"] is HERE


# --- what goes and leaves the rest


def test_a_new_address_of_the_own_node_leaves_its_ranges_as_they_are() -> None:
    made = engine(*CLUSTER)

    assert not made.apply(there(replace(OWN_NODE, addresses=(address("192.168.0.2"),))))
    assert made.snapshot.nodes["n1"].addresses == (address("192.168.0.2"),)


def test_a_block_that_no_policy_names_any_more_has_no_set() -> None:
    from_outside = policy("x/outside", "app=web", ingress=[rule([block("192.0.2.0/24")])])
    made = engine(*CLUSTER, from_outside)
    assert any(name.startswith("NETPOL-N") for name in made.ruleset().sets)

    made.apply(gone(from_outside))

    assert not any(name.startswith("NETPOL-N") for name in made.ruleset().sets)
    assert made.ruleset() == compile_ruleset(made.snapshot, OPTIONS)


def test_a_policy_that_goes_leaves_the_others_of_its_namespace() -> None:
    other = policy("x/other", "app=web", ingress=[rule([pods("app=friend")])])
    made = engine(*CLUSTER, other)

    made.apply(gone(FROM_CLIENTS))

    assert made.ruleset() == compile_ruleset(made.snapshot, OPTIONS)
    assert CHAIN in made.ruleset().tables[FOUR].chains
