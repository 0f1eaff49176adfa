"""Destinations that drain: until their connections have ended, and no longer than they may."""

from __future__ import annotations

import pytest
from builders import address

from netpol.model.ports import Protocol
from proxy.model import (
    Destination,
    HeldDestination,
    HeldServer,
    Scheduling,
    ServerAddress,
    ServerDestination,
    ServerKey,
)
from proxy.planning.draining import Draining

WEB = ServerAddress(address("10.96.0.10"), Protocol.TCP, 80)
SHOP = ServerAddress(address("10.96.0.11"), Protocol.TCP, 80)
ONE, TWO = Destination(address("10.0.0.1"), 80), Destination(address("10.0.0.2"), 80)
START = 100.0


def read(key: ServerKey, **destinations: HeldDestination) -> dict[ServerKey, HeldServer]:
    known = {"one": ONE, "two": TWO}
    return {key: HeldServer(key, Scheduling(), {known[name]: each for name, each in destinations.items()})}


@pytest.fixture
def draining() -> Draining:
    """One of two servers drains since the start."""
    draining = Draining(30.0)
    draining.follow([WEB, SHOP], [ServerDestination(WEB, ONE)], START)
    return draining


def test_nothing_is_looked_at_where_nothing_drains() -> None:
    draining = Draining(30.0)
    draining.follow([WEB], [], START)
    assert draining.next_look(START) is None
    assert (len(draining), draining.servers) == (0, frozenset())


def test_connections_are_counted_each_second(draining: Draining) -> None:
    assert draining.next_look(START) == 1.0
    assert draining.next_look(START + 0.75) == 0.25
    assert draining.next_look(START + 5) == 0.0
    draining.ended({}, START + 5)
    assert draining.next_look(START + 5) == 1.0


def test_the_last_look_is_at_the_deadline(draining: Draining) -> None:
    draining.ended({}, START + 29.5)
    assert draining.next_look(START + 29.5) == 0.5


@pytest.mark.parametrize(
    "busy", [HeldDestination(0, active=1), HeldDestination(0, inactive=1), HeldDestination(0, persistent=1)]
)
def test_it_lasts_while_there_is_a_connection(draining: Draining, busy: HeldDestination) -> None:
    assert draining.ended(read(WEB, one=busy, two=HeldDestination()), START + 29) == frozenset()
    assert draining.ended(read(WEB, one=HeldDestination(0)), START + 29) == {ServerDestination(WEB, ONE)}


def test_it_ends_at_the_deadline_whoever_is_connected(draining: Draining) -> None:
    assert draining.ended(read(WEB, one=HeldDestination(0, active=3)), START + 30) == {ServerDestination(WEB, ONE)}


def test_a_count_while_it_got_connections_says_nothing(draining: Draining) -> None:
    assert draining.ended(read(WEB, one=HeldDestination(1)), START + 1) == frozenset()


def test_what_drains_of_a_server_that_is_gone_has_ended(draining: Draining) -> None:
    assert draining.ended({}, START + 1) == {ServerDestination(WEB, ONE)}


def test_a_deadline_stays_while_others_come(draining: Draining) -> None:
    draining.follow([WEB], [ServerDestination(WEB, ONE), ServerDestination(WEB, TWO)], START + 20)
    assert len(draining) == 2
    busy = read(WEB, one=HeldDestination(0, active=1), two=HeldDestination(0, active=1))
    assert draining.ended(busy, START + 30) == {ServerDestination(WEB, ONE)}
    assert draining.ended(busy, START + 50) == {ServerDestination(WEB, ONE), ServerDestination(WEB, TWO)}


def test_what_drains_no_more_starts_anew_the_next_time(draining: Draining) -> None:
    draining.follow([WEB], [], START + 20)
    assert draining.next_look(START + 20) is None
    draining.follow([WEB], [ServerDestination(WEB, ONE)], START + 25)
    assert draining.ended(read(WEB, one=HeldDestination(0, active=1)), START + 54) == frozenset()


def test_servers_that_were_not_planned_for_go_on(draining: Draining) -> None:
    draining.follow([SHOP], [], START + 1)
    assert draining.servers == {WEB}
