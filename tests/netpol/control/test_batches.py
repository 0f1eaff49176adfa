"""Facts put together: as many as one plan carries out without a moment in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from builders import namespace, node, pod, pods, policy, rule, world
from live import OPTIONS, gone, known, listing

from netpol.compiler.engine import Engine, Touched
from netpol.compiler.names import pod_chain, unknown_set
from netpol.compiler.ruleset import IpSet, SetType
from netpol.control import batches as module
from netpol.control.batches import Batch, batches, crosses, one_batch
from netpol.model.facts import Fact
from netpol.model.networks import Family
from netpol.model.policies import Direction
from netpol.model.snapshot import Snapshot

WEB = pod("x/web", "10.0.0.2", labels="app=web", node="n1")
FRIEND = pod("x/friend", "10.0.0.3", labels="app=friend", node="n2")
STRANGER = pod("x/stranger", "10.0.0.4", labels="app=stranger", node="n2")
FRIENDS_ONLY = policy("x/p", "app=web", ingress=[rule([pods("app=friend")], ["80/TCP"])])
ANYBODY = policy("x/p", "app=web", ingress=[rule([pods()], ["80/TCP"])])
ON_MORE = policy("x/p", "app=web", ingress=[rule([pods("app=friend")], ["80/TCP", "81/TCP"])])
WORLD = world(namespace("x"), node("n1", pod_cidrs=["10.0.0.0/24"]), WEB, FRIEND, STRANGER, FRIENDS_ONLY)
WEB_CHAIN = pod_chain("x", "web", Direction.INGRESS)

NO_FRIEND_ANY_MORE = known(replace(FRIEND, labels={"app": "other"}))
A_NEW_FRIEND = known(replace(STRANGER, labels={"app": "friend"}))


def started(snapshot: Snapshot = WORLD) -> Engine:
    """An engine that knows the world."""
    engine = Engine(OPTIONS)
    engine.apply(listing(snapshot))
    return engine


def made(engine: Engine, *facts: Fact) -> list[Batch]:
    return list(batches(engine, facts))


def peers_of(batch: Batch) -> list[IpSet]:
    """The sets of peers' addresses that the batch has."""
    return [each for name, each in batch.part.sets.items() if name.startswith("NETPOL-P4-")]


def test_no_facts_make_no_batch() -> None:
    assert made(started()) == []


def test_facts_that_touch_nothing_are_in_no_batch() -> None:
    """The second is of a pod that nothing selects, on another node."""
    unseen = known(pod("z/unseen", "10.0.9.9", node="n2"))
    assert made(started(), known(FRIEND), unseen) == []
    (batch,) = made(started(), unseen, A_NEW_FRIEND, known(FRIEND))
    assert batch.facts == (A_NEW_FRIEND,)


def test_peers_that_come_and_go_are_one_batch_in_their_order() -> None:
    engine = started()
    (batch,) = made(engine, NO_FRIEND_ANY_MORE, A_NEW_FRIEND)
    assert batch.facts == (NO_FRIEND_ANY_MORE, A_NEW_FRIEND)
    assert batch.touched.moved
    assert not batch.touched.rejudged
    (friends,) = peers_of(batch)
    assert friends.members == {bytes([10, 0, 0, 4])}
    assert batch.part == engine.part(batch.touched)


def test_policies_that_change_are_one_batch() -> None:
    engine = started()
    (batch,) = made(engine, known(ON_MORE), known(ANYBODY))
    assert batch.touched.rejudged
    assert not batch.touched.moved
    assert batch.part == engine.part(batch.touched)


@pytest.mark.parametrize("facts", [[A_NEW_FRIEND, known(ON_MORE)], [known(ON_MORE), A_NEW_FRIEND]])
def test_peers_and_what_they_may_do_are_two_batches(facts: Sequence[Fact]) -> None:
    assert [batch.facts for batch in made(started(), *facts)] == [(each,) for each in facts]


def test_each_batch_has_what_was_desired_after_its_own_last_fact() -> None:
    """Though the engine is ahead: the pod is a friend for a while only."""
    engine = started()
    first, second, third = made(engine, A_NEW_FRIEND, known(ON_MORE), known(STRANGER))
    assert {each.members for each in peers_of(first)} == {frozenset({bytes([10, 0, 0, 3]), bytes([10, 0, 0, 4])})}
    assert WEB_CHAIN not in first.part.tables[Family.IPV4].chains
    assert "81" in str(second.part.tables[Family.IPV4].chains[WEB_CHAIN])
    assert {each.members for each in peers_of(third)} == {frozenset({bytes([10, 0, 0, 3])})}


def test_what_comes_and_goes_within_a_batch_is_not_desired() -> None:
    """The lists and sets of the policy in between, and the chain of the pod that it isolated."""
    bare = world(*WORLD.namespaces.values(), *WORLD.nodes.values(), WEB, FRIEND)
    (batch,) = made(started(bare), known(FRIENDS_ONLY), gone(FRIENDS_ONLY))
    assert WEB_CHAIN in batch.touched.chains
    assert all(WEB_CHAIN not in table.chains for table in batch.part.tables.values())
    assert not peers_of(batch)
    assert not [each for each in batch.part.sets.values() if each.type is SetType.SETS]


def test_what_goes_and_comes_again_within_a_batch_is_desired() -> None:
    (batch,) = made(started(), gone(FRIENDS_ONLY), known(FRIENDS_ONLY))
    assert WEB_CHAIN in batch.part.tables[Family.IPV4].chains
    assert len(peers_of(batch)) == 1


def test_every_family_has_its_table_and_hooks() -> None:
    (batch,) = made(started(), A_NEW_FRIEND)
    whole = started().ruleset()
    assert {family: table.hooks for family, table in batch.part.tables.items()} == {
        family: table.hooks for family, table in whole.tables.items()
    }


def test_facts_without_an_order_are_one_batch_whatever_is_in_them() -> None:
    facts = [A_NEW_FRIEND, known(ON_MORE), known(STRANGER)]
    engine = started()
    (batch,) = one_batch(engine, facts)
    assert batch.facts == tuple(facts)
    assert batch.touched.rejudged
    assert batch.part == engine.part(batch.touched)


def test_a_long_backlog_is_not_carried_out_plan_by_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BATCHES", 3)
    turns = [A_NEW_FRIEND, known(ON_MORE), known(STRANGER), known(FRIENDS_ONLY)] * 3
    engine = started()
    found = made(engine, *turns)
    assert len(found) == 3
    assert [fact for batch in found for fact in batch.facts] == turns
    assert found[-1].part == engine.part(found[-1].touched)


def test_facts_that_touch_nothing_are_no_batch() -> None:
    assert made(started(), known(FRIEND), known(WEB)) == []
    assert list(one_batch(started(), [known(FRIEND), known(WEB)])) == []


def test_an_address_that_a_new_pod_takes_over_is_never_known_to_nobody() -> None:
    """G12: of both facts the batch has only that somebody holds it."""
    heir = pod("x/heir", "10.0.0.2", labels="app=web", node="n1", created="2024-01-01T00:00:00Z")
    engine = started()
    before = engine.ruleset().sets[unknown_set(Family.IPV4)]
    found = made(engine, gone(WEB), known(heir))
    assert found[-1].part.sets[unknown_set(Family.IPV4)] == before


MOVED, REJUDGED, BOTH = Touched(moved=True), Touched(rejudged=True), Touched(moved=True, rejudged=True)


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        (MOVED, MOVED, False),
        (REJUDGED, REJUDGED, False),
        (MOVED, REJUDGED, True),
        (REJUDGED, MOVED, True),
        (BOTH, MOVED, True),
        (BOTH, REJUDGED, True),
        (MOVED, BOTH, True),
        (Touched(sets=frozenset({"a"})), BOTH, False),
        (BOTH, Touched(chains=frozenset({"a"})), False),
    ],
)
def test_what_crosses(earlier: Touched, later: Touched, expected: bool) -> None:
    assert crosses(earlier, later) is expected
