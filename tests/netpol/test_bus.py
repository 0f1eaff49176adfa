"""The bus: what is kept, who hears of it, and in which order."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

import netpol.bus
from netpol.bus import Bus, Subscription
from netpol.model.facts import Fact, Key, Kind
from netpol.model.objects import Namespace, Pod
from netpol.trigger import Trigger

WEB = Key(Kind.NAMESPACE, "", "web")
FRONT = Key(Kind.POD, "web", "front")


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def trigger() -> Trigger:
    return Trigger()


@pytest.fixture
def subscription(bus: Bus, trigger: Trigger) -> Subscription:
    return bus.subscribe({Kind.NAMESPACE, Kind.POD}, trigger)


def test_facts_are_taken_once_in_the_order_they_were_recorded(bus: Bus, subscription: Subscription) -> None:
    facts = (
        Fact(FRONT, Pod("web", "front")),
        Fact(WEB, Namespace("web")),
        Fact(FRONT, Pod("web", "front", {"a": "b"})),
    )
    for fact in facts:
        bus.record(fact)

    assert subscription.take() == facts
    assert subscription.taken_in_order
    assert subscription.take() == ()


def test_what_is_known_already_wakes_nobody(bus: Bus, subscription: Subscription, trigger: Trigger) -> None:
    bus.record(Fact(WEB, Namespace("web")))
    subscription.take()
    trigger.wait(0)

    assert not bus.record(Fact(WEB, Namespace("web")))
    assert not bus.record(Fact(FRONT, None))
    assert not trigger.wait(0)
    assert subscription.take() == ()


def test_a_list_takes_away_what_is_not_in_it(bus: Bus, subscription: Subscription) -> None:
    bus.record(Fact(WEB, Namespace("web")))
    bus.record(Fact(FRONT, Pod("web", "front")))
    subscription.take()

    changed = bus.replace(Kind.NAMESPACE, {("", "db"): Namespace("db")})

    assert changed == 2
    assert subscription.take() == (Fact(WEB, None), Fact(Key(Kind.NAMESPACE, "", "db"), Namespace("db")))
    assert bus.count(Kind.NAMESPACE) == 1
    assert bus.count(Kind.POD) == 1


def test_a_kind_is_in_sync_once_it_was_listed_even_where_the_list_is_empty(
    bus: Bus, subscription: Subscription, trigger: Trigger
) -> None:
    bus.record(Fact(WEB, Namespace("web")))
    bus.replace(Kind.POD, {})
    assert not subscription.in_sync()
    assert subscription.missing() == {Kind.NAMESPACE}
    trigger.wait(0)

    bus.replace(Kind.NAMESPACE, {("", "web"): Namespace("web")})

    assert subscription.in_sync()
    assert trigger.wait(0)


def test_a_later_subscription_starts_with_all_that_is_known(bus: Bus) -> None:
    bus.record(Fact(WEB, Namespace("web")))
    bus.record(Fact(FRONT, Pod("web", "front")))

    late = bus.subscribe({Kind.POD}, Trigger())

    assert late.take() == (Fact(FRONT, Pod("web", "front")),)


def test_a_kind_that_was_not_subscribed_to_is_not_heard_of(bus: Bus) -> None:
    pods = bus.subscribe({Kind.POD}, Trigger())
    bus.record(Fact(WEB, Namespace("web")))

    assert pods.take() == ()


def test_a_controller_far_behind_gets_the_latest_of_each_object(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netpol.bus, "MOST_PENDING", 3)
    subscription = bus.subscribe({Kind.POD}, Trigger())
    for number in range(10):
        bus.record(Fact(FRONT, Pod("web", "front", {"n": str(number)})))

    taken = subscription.take()

    assert len(taken) <= 3
    assert not subscription.taken_in_order
    assert taken[-1] == Fact(FRONT, Pod("web", "front", {"n": "9"}))


def test_the_age_of_what_was_taken_is_that_of_its_oldest_fact(bus: Bus, subscription: Subscription) -> None:
    before = time.monotonic()
    bus.record(Fact(WEB, Namespace("web")))
    between = time.monotonic()
    bus.record(Fact(FRONT, Pod("web", "front")))
    subscription.take()

    assert before <= subscription.taken_since <= between


def test_lists_of_several_kinds_are_taken_together(bus: Bus, subscription: Subscription) -> None:
    """A taker that never rests finds all of them, or none yet."""
    pods = {("web", str(number)): Pod("web", str(number)) for number in range(1000)}
    taken: list[tuple[Fact, ...]] = []

    def take() -> None:
        while not taken:
            if facts := subscription.take():
                taken.append(facts)

    taker = threading.Thread(target=take)
    taker.start()
    changed = bus.replace_all({Kind.NAMESPACE: {("", "web"): Namespace("web")}, Kind.POD: pods})
    taker.join()

    assert changed == 1001
    assert Counter(fact.key.kind for fact in taken[0]) == {Kind.NAMESPACE: 1, Kind.POD: 1000}
    assert bus.in_sync({Kind.NAMESPACE, Kind.POD})


def test_what_changed_at_the_same_time_has_no_order(bus: Bus, subscription: Subscription) -> None:
    bus.replace_all({Kind.NAMESPACE: {("", "web"): Namespace("web")}})
    subscription.take()
    assert subscription.taken_in_order

    bus.replace_all({Kind.NAMESPACE: {}, Kind.POD: {("web", "front"): Pod("web", "front")}})
    subscription.take()
    assert not subscription.taken_in_order
