"""Who holds which address while pods come, change and go."""

from __future__ import annotations

from collections.abc import Iterable

from builders import address, pod, selector
from hypothesis import given
from hypothesis import strategies as st
from worlds import snapshots

from netpol.model.change import Change
from netpol.model.networks import Address, Family
from netpol.model.objects import Pod
from netpol.model.ports import NamedPort, Protocol
from netpol.model.snapshot import ObjectName, Snapshot, holders
from netpol.policy.holders import Holder, HolderIndex

SHARED = "10.0.0.1"
OLD = pod("x/old", SHARED, "10.0.0.9", node="n1", created="2024-01-01T00:00:00.000000Z")
NEW = pod("x/new", SHARED, node="n2", created="2024-01-02T00:00:00.000000Z")
Summary = tuple[str, tuple[Address, ...]]


def arrival(*pods: Pod) -> list[Change[Pod]]:
    return [Change(None, each) for each in pods]


def summary(holder: Holder | None) -> Summary | None:
    return None if holder is None else (str(holder.pod), holder.addresses)


def moves(index: HolderIndex, changes: Iterable[Change[Pod]]) -> dict[Summary | None, Summary | None]:
    return {summary(move.before): summary(move.after) for move in index.replace(changes)}


def test_who_loses_an_address_to_a_newer_pod_has_moved_too() -> None:
    """X1."""
    index = HolderIndex()
    index.replace(arrival(OLD))
    both, rest = (address(SHARED), address("10.0.0.9")), (address("10.0.0.9"),)
    assert moves(index, arrival(NEW)) == {("x/old", both): ("x/old", rest), None: ("x/new", (address(SHARED),))}
    assert index.pods_by_address == {address(SHARED): NEW, address("10.0.0.9"): OLD}


def test_an_address_goes_back_to_the_older_pod() -> None:
    """X1: it leaves when its last holder does."""
    index = HolderIndex()
    index.replace(arrival(OLD, NEW))
    assert set(moves(index, [Change(NEW, None)]).values()) == {None, ("x/old", OLD.addresses)}
    assert index.pods_by_address == {address(SHARED): OLD, address("10.0.0.9"): OLD}
    assert set(moves(index, [Change(OLD, None)]).values()) == {None}
    assert index.pods_by_address == {}
    assert list(index.all()) == []


def test_an_older_pod_that_comes_late_gets_only_what_nobody_holds() -> None:
    index = HolderIndex()
    index.replace(arrival(NEW))
    assert moves(index, arrival(OLD)) == {None: ("x/old", (address("10.0.0.9"),))}


def test_pods_that_are_not_actionable_hold_nothing() -> None:
    """G3, V9."""
    index = HolderIndex()
    assert index.replace(arrival(pod("x/done", SHARED, finished=True), pod("x/host", SHARED, host_network=True))) == []


def test_holders_are_found_by_what_their_pods_are() -> None:
    index = HolderIndex()
    web = pod("x/web", "10.0.0.2", "fd00::2", labels="app=web", ports="http=80/TCP http=81/TCP", node="n1")
    index.replace(arrival(OLD, web))
    (found,) = index.matching("x", selector("app=web"))
    assert found.packed == {Family.IPV4: (web.addresses[0].packed,), Family.IPV6: (web.addresses[1].packed,)}
    assert [str(each.pod) for each in index.matching("x", selector("!app"))] == ["x/old"]
    assert [str(each.pod) for each in index.naming(NamedPort(Protocol.TCP, "http"))] == ["x/web"]
    assert list(index.naming(NamedPort(Protocol.UDP, "http"))) == []
    assert {str(each.pod) for each in index.on_node("n1")} == {"x/old", "x/web"}


@given(st.lists(snapshots(), min_size=1, max_size=3))
def test_after_any_changes_it_is_as_if_made_of_what_is_left(history: list[Snapshot]) -> None:
    index = HolderIndex()
    known: dict[ObjectName, Pod] = {}
    for snapshot in history:
        names = known.keys() | snapshot.pods.keys()
        index.replace(Change(known.get(name), snapshot.pods.get(name)) for name in names)
        known = dict(snapshot.pods)
        fresh = HolderIndex()
        fresh.replace(arrival(*known.values()))
        assert index.pods_by_address == holders(known.values())
        assert sorted(map(summary, index.all()), key=str) == sorted(map(summary, fresh.all()), key=str)
        for node in ("n1", "n2", "n3", ""):
            here = sorted(map(summary, index.on_node(node)), key=str)
            assert here == sorted(map(summary, fresh.on_node(node)), key=str)


def test_a_pod_without_an_address_before_and_after_does_not_move() -> None:
    index = HolderIndex()
    waiting, scheduled = pod("x/waiting"), pod("x/waiting", node="n1")
    assert index.replace(arrival(waiting)) == []
    assert index.replace([Change(waiting, scheduled)]) == []


def test_a_rival_that_loses_again_in_the_same_batch_has_not_moved() -> None:
    """X1."""
    index = HolderIndex()
    index.replace(arrival(OLD, NEW))
    relabelled = pod("x/new", SHARED, node="n2", labels="a=b", created=NEW.created)
    assert [move.after and move.after.pod for move in index.replace([Change(NEW, relabelled)])] == [relabelled]


def test_an_older_pod_that_only_lost_its_one_address_does_not_move_again() -> None:
    """X1."""
    index = HolderIndex()
    loser = pod("x/loser", SHARED, node="n1", created="2024-01-01T00:00:00.000000Z")
    index.replace(arrival(NEW, loser))
    assert index.replace([Change(loser, None)]) == []
