"""Who is concerned when pods claim addresses that others claim too (X1)."""

from __future__ import annotations

from dataclasses import replace

from builders import address, pod
from hypothesis import given
from hypothesis import strategies as st
from worlds import snapshots

from netpol.model.change import Change
from netpol.model.snapshot import Snapshot, holders
from netpol.policy.claims import Claims

SHARED = address("10.0.0.1")
OLD = pod("x/old", "10.0.0.1", created="2024-01-01T00:00:00.000000Z")
NEW = pod("x/new", "10.0.0.1", created="2024-01-02T00:00:00.000000Z")


def test_the_newer_pod_wins_and_the_loser_is_concerned() -> None:
    claims = Claims()
    claims.replace([Change(None, OLD)])
    assert claims.replace([Change(None, NEW)]) == {("x", "old"): OLD, ("x", "new"): NEW}
    assert claims.pods_by_address == {SHARED: NEW}


def test_the_address_falls_back_to_the_older_pod() -> None:
    claims = Claims()
    claims.replace([Change(None, OLD), Change(None, NEW)])
    assert claims.replace([Change(NEW, None)]) == {("x", "new"): None, ("x", "old"): OLD}
    assert claims.pods_by_address == {SHARED: OLD}
    assert claims.replace([Change(OLD, None)]) == {("x", "old"): None}
    assert claims.pods_by_address == {}


def test_a_pod_that_finishes_claims_nothing() -> None:
    """G3."""
    claims = Claims()
    claims.replace([Change(None, NEW), Change(None, OLD)])
    claims.replace([Change(NEW, replace(NEW, finished=True))])
    assert claims.pods_by_address == {SHARED: OLD}


@given(st.lists(snapshots(max_policies=0), min_size=1, max_size=4))
def test_after_any_changes_it_is_as_if_made_of_what_is_left(history: list[Snapshot]) -> None:
    claims, known = Claims(), Snapshot.of()
    for snapshot in history:
        names = known.pods.keys() | snapshot.pods.keys()
        before = dict(claims.pods_by_address)
        concerned = claims.replace(Change(known.pods.get(name), snapshot.pods.get(name)) for name in names)
        known = snapshot
        assert claims.pods_by_address == holders(snapshot.pods.values())
        for held in before.keys() | claims.pods_by_address.keys():
            pair = before.get(held), claims.pods_by_address.get(held)
            if pair[0] is not pair[1]:
                assert {(each.namespace, each.name) for each in pair if each is not None} <= concerned.keys()
