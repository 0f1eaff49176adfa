"""What the bus and the notices hear of objects, good and bad."""

from __future__ import annotations

import pytest
from builders import pod
from following import metric

from netpol.bus import Bus
from netpol.model.facts import Key, Kind
from netpol.model.notices import Notice
from netpol.model.objects import Pod
from netpol.source.kube.objects import Found
from netpol.source.kube.pages import Header
from netpol.source.kube.recording import Recording
from netpol.telemetry.metrics import Metrics
from netpol.trigger import Trigger

A = Header("a", "x", "1")
ODD = Notice("Pod", "x", "a", "status.podIP", "is no address")


class Board:
    """Notices by name, and the uids that anything was said of."""

    def __init__(self) -> None:
        self.known: dict[Key, tuple[Notice, ...]] = {}
        self.uids: list[str] = []

    def put(self, key: Key, uid: str, notices: tuple[Notice, ...]) -> None:
        self.uids.append(uid)
        self.known[key] = notices


class World:
    """A recording with all that hears of it."""

    def __init__(self) -> None:
        self.bus, self.board, self.metrics = Bus(), Board(), Metrics()
        self.recording = Recording(Kind.POD, self.bus, self.board, self.metrics)

    def pods(self) -> dict[str, object]:
        facts = self.bus.subscribe([Kind.POD], Trigger()).take()
        return {f"{fact.key.namespace}/{fact.key.name}": fact.value for fact in facts}

    def unreadable(self) -> float:
        return metric(self.metrics, "netpol_unreadable_objects", kind="Pod")


def good(name: str, address: str = "10.0.0.1", uid: str = "1") -> Found:
    value = pod(name, address)
    return Found(Key(Kind.POD, value.namespace, value.name), uid, value)


def bad(name: str, value: Pod | None = None, uid: str = "1") -> Found:
    namespace, _, own = name.partition("/")
    return Found(Key(Kind.POD, namespace, own), uid, value, (ODD,), is_understood=False)


def test_a_list_takes_the_place_of_what_was_known() -> None:
    world = World()
    world.recording.replace([good("x/a"), good("x/b")])
    assert world.recording.replace([good("x/b"), good("x/c")]) == 2
    assert world.pods().keys() == {"x/b", "x/c"}
    assert len(world.recording) == 2


def test_good_objects_are_not_talked_about() -> None:
    world = World()
    world.recording.replace([good("x/a")])
    world.recording.record(good("x/a", "10.0.0.2"))
    world.recording.remove(A)
    assert world.board.uids == []


def test_a_bad_object_keeps_its_last_good_value_however_often_it_is_bad() -> None:
    world = World()
    world.recording.record(good("x/a"))
    world.recording.record(bad("x/a"))
    world.recording.record(bad("x/a"))
    world.recording.replace([bad("x/a")])
    assert world.pods() == {"x/a": pod("x/a", "10.0.0.1")}
    assert world.unreadable() == 1
    assert world.board.known == {Key(Kind.POD, "x", "a"): (ODD,)}


def test_what_stands_for_a_bad_object_is_no_last_good_value() -> None:
    world = World()
    first, second = pod("x/a", "10.0.0.8"), pod("x/a", "10.0.0.9")
    world.recording.record(bad("x/a", first))
    world.recording.record(bad("x/a", second))
    assert world.pods() == {"x/a": second}


def test_a_bad_object_of_another_uid_inherits_nothing() -> None:
    world = World()
    world.recording.record(good("x/a", uid="1"))
    world.recording.record(bad("x/a", uid="2"))
    assert world.pods() == {}


def test_an_object_that_is_mended_is_not_talked_about_any_more() -> None:
    world = World()
    world.recording.record(bad("x/a"))
    world.recording.record(good("x/a"))
    assert world.unreadable() == 0
    assert world.board.known == {Key(Kind.POD, "x", "a"): ()}


def test_an_object_that_is_gone_is_not_talked_about_any_more() -> None:
    by_event, by_list = World(), World()
    for world in (by_event, by_list):
        world.recording.record(bad("x/a"))
    by_event.recording.remove(A)
    by_list.recording.replace([])
    for world in (by_event, by_list):
        assert world.unreadable() == 0
        assert world.board.known == {Key(Kind.POD, "x", "a"): ()}


def test_a_deletion_of_the_unknown_is_no_news() -> None:
    world = World()
    world.recording.remove(A)
    assert world.pods() == {}
    assert len(world.recording) == 0


@pytest.mark.parametrize(("uid", "stays"), [("1", True), ("2", False), ("", False), (7, False)])
def test_a_deletion_of_another_object_of_that_name_is_no_news(uid: object, stays: bool) -> None:
    world = World()
    world.recording.record(good("x/a", uid="2"))
    world.recording.remove(Header("a", "x", uid))
    assert bool(world.pods()) is stays
    assert len(world.recording) == stays
