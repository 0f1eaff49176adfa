"""The plan for virtual servers: differences only, in an order that leaves none without a destination."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from builders import address

from netpol.model.networks import Family, parse_network
from netpol.model.ports import Protocol
from proxy.model import (
    AddDestination,
    AddServer,
    Destination,
    EditDestination,
    EditServer,
    Forwarding,
    HeldDestination,
    HeldServer,
    Origin,
    RemoveDestination,
    RemoveServer,
    Scheduling,
    ServerAddress,
    ServerDestination,
    ServerKey,
    ServerMark,
    VirtualServer,
)
from proxy.planning.plan import Constraints, Plan, plan

VIP = ServerAddress(address("10.96.0.10"), Protocol.TCP, 80)
DNS = ServerAddress(address("10.96.0.2"), Protocol.UDP, 53)
MARK = ServerMark(Family.IPV4, 0x4E000001)
ONE, TWO, THREE = (Destination(address(f"10.0.0.{number}"), 8080) for number in (1, 2, 3))
RR, LC = Scheduling(), Scheduling("lc")

OURS = Constraints(lambda _: True)
OTHERS = Constraints(lambda _: False)


def server(
    key: ServerKey,
    *destinations: Destination,
    origin: Origin = Origin.CLUSTER,
    scheduling: Scheduling = RR,
    forwarding: Forwarding = Forwarding.MASQUERADE,
) -> VirtualServer:
    return VirtualServer(key, origin, scheduling, frozenset(destinations), forwarding)


def held(key: ServerKey, *destinations: Destination, draining: Iterable[Destination] = ()) -> HeldServer:
    return HeldServer(key, RR, {**dict.fromkeys(destinations, SERVES), **dict.fromkeys(draining, DRAINS)})


SERVES, DRAINS = HeldDestination(), HeldDestination(weight=0)


def planned(
    desired: Iterable[VirtualServer],
    found: Iterable[HeldServer],
    constraints: Constraints = OURS,
    ended: Iterable[ServerDestination] = (),
) -> Plan:
    return plan({each.key: each for each in desired}, {each.key: each for each in found}, constraints, frozenset(ended))


def test_nothing_is_to_be_done_where_nothing_differs() -> None:
    assert planned([server(VIP, ONE, TWO)], [held(VIP, TWO, ONE)]) == Plan()


def test_a_new_server_gets_its_destinations_right_after_it_is_made() -> None:
    assert planned([server(VIP, TWO, ONE), server(MARK, THREE, forwarding=Forwarding.TUNNEL)], []).steps == (
        AddServer(VIP, RR),
        AddDestination(VIP, ONE),
        AddDestination(VIP, TWO),
        AddServer(MARK, RR),
        AddDestination(MARK, THREE, forwarding=Forwarding.TUNNEL),
    )


def test_another_scheduling_is_one_message() -> None:
    found = planned([server(VIP, ONE, scheduling=LC)], [held(VIP, ONE)])
    assert found == Plan((EditServer(VIP, LC),), switched=frozenset({VIP}))


def test_who_stays_how_long_changes_without_a_switch() -> None:
    longer = replace(RR, persistence_seconds=60)
    assert planned([server(VIP, ONE, scheduling=longer)], [held(VIP, ONE)]) == Plan((EditServer(VIP, longer),))


def test_an_endpoint_that_comes_is_one_message() -> None:
    assert planned([server(VIP, ONE, TWO)], [held(VIP, ONE)]).steps == (AddDestination(VIP, TWO),)


def test_an_endpoint_that_goes_drains() -> None:
    found = planned([server(VIP, ONE)], [held(VIP, ONE, TWO)])
    assert found.steps == (EditDestination(VIP, TWO, 0),)
    assert found.draining == {ServerDestination(VIP, TWO)}


def test_one_that_drains_already_goes_on() -> None:
    found = planned([server(VIP, ONE)], [held(VIP, ONE, draining=[TWO])])
    assert found == Plan(draining=frozenset({ServerDestination(VIP, TWO)}))


def test_datagrams_of_direct_return_have_nothing_to_drain_either() -> None:
    wanted = replace(server(MARK, forwarding=Forwarding.TUNNEL), marked=VIP._replace(protocol=Protocol.UDP))
    there = HeldServer(MARK, RR, {ONE: HeldDestination(1, Forwarding.TUNNEL)})
    assert planned([wanted], [there]).steps == (RemoveDestination(MARK, ONE),)


def test_one_that_has_drained_goes() -> None:
    found = planned([server(VIP, ONE)], [held(VIP, ONE, draining=[TWO])], ended=[ServerDestination(VIP, TWO)])
    assert found == Plan((RemoveDestination(VIP, TWO),))


def test_an_endpoint_that_comes_back_ends_its_draining() -> None:
    found = planned([server(VIP, ONE, TWO)], [held(VIP, ONE, draining=[TWO])], ended=[ServerDestination(VIP, TWO)])
    assert found == Plan((EditDestination(VIP, TWO, 1),))


def test_where_nothing_is_to_drain_an_endpoint_goes_at_once() -> None:
    found = planned([server(VIP, TWO)], [held(VIP, ONE)], Constraints(lambda _: True, drains=False))
    assert found == Plan((AddDestination(VIP, TWO), RemoveDestination(VIP, ONE)))


def test_one_reached_in_a_way_that_is_never_asked_for_goes_at_once() -> None:
    direct = HeldServer(VIP, RR, {ONE: HeldDestination(forwarding=None)})
    assert planned([server(VIP)], [direct]).steps == (RemoveDestination(VIP, ONE),)


def test_another_way_to_a_destination_is_a_new_one() -> None:
    found = planned([server(VIP, ONE)], [HeldServer(VIP, RR, {ONE: HeldDestination(forwarding=Forwarding.TUNNEL)})])
    assert found == Plan((RemoveDestination(VIP, ONE), AddDestination(VIP, ONE)))


def test_what_drains_keeps_the_way_to_it() -> None:
    found = planned([server(VIP)], [HeldServer(VIP, RR, {ONE: HeldDestination(forwarding=Forwarding.TUNNEL)})])
    assert found.steps == (EditDestination(VIP, ONE, 0, Forwarding.TUNNEL),)


# --- datagrams


def test_datagrams_have_no_connection_to_end() -> None:
    found = planned([server(DNS, ONE)], [held(DNS, ONE, TWO)])
    assert found == Plan((RemoveDestination(DNS, TWO),), stale=frozenset({ServerDestination(DNS, TWO)}))


def test_datagrams_of_a_server_that_goes_are_sent_nowhere_any_more() -> None:
    found = planned([], [held(DNS, ONE, TWO), held(VIP, ONE)])
    assert found.steps == (RemoveServer(VIP), RemoveServer(DNS))
    assert found.stale == {ServerDestination(DNS, ONE), ServerDestination(DNS, TWO)}


def test_datagrams_that_came_before_the_server_are_the_nodes_own_no_more() -> None:
    assert planned([server(DNS, ONE)], []).stale == {ServerDestination(DNS, Destination(DNS.address, 53))}


def test_connections_are_older_than_a_server_that_is_not_there_yet() -> None:
    found = planned([server(DNS, ONE), server(VIP, ONE)], [])
    assert found.older == {
        ServerDestination(DNS, Destination(DNS.address, 53)),
        ServerDestination(VIP, Destination(VIP.address, VIP.port)),
    }
    assert planned([server(VIP, ONE), server(DNS, TWO)], [held(VIP), held(DNS, ONE)]).older == frozenset()


# --- what others made


def test_a_server_that_is_not_desired_goes_where_it_is_ours() -> None:
    assert planned([], [held(VIP, ONE)]).steps == (RemoveServer(VIP),)
    assert planned([], [held(VIP, ONE)], OTHERS) == Plan()


@pytest.mark.parametrize(("network", "steps"), [("10.96.0.0/16", ()), ("10.97.0.0/16", (RemoveServer(VIP),))])
def test_a_server_in_an_excluded_network_stays(network: str, steps: tuple[RemoveServer, ...]) -> None:
    found = planned([], [held(VIP, ONE)], Constraints(lambda _: True, [parse_network(network)]))
    assert found.steps == steps


@pytest.mark.parametrize("origin", [Origin.CLUSTER, Origin.NODE_PORT])
def test_what_another_proxy_left_is_taken_over(origin: Origin) -> None:
    found = planned([server(VIP, TWO, origin=origin, scheduling=LC)], [held(VIP, ONE)], OTHERS)
    assert found.steps == (EditServer(VIP, LC), AddDestination(VIP, TWO), EditDestination(VIP, ONE, 0))
    assert found.conflicts == frozenset()


@pytest.mark.parametrize("origin", [Origin.EXTERNAL, Origin.LOAD_BALANCER])
def test_what_others_serve_for_the_world_is_left_to_them(origin: Origin) -> None:
    wanted = [server(VIP, TWO, origin=origin), server(DNS, ONE)]
    found = planned(wanted, [held(VIP, ONE)], OTHERS)
    assert found.conflicts == {VIP}
    assert found.steps == (AddServer(DNS, RR), AddDestination(DNS, ONE))
    assert planned(wanted, [held(VIP, TWO), held(DNS, ONE)], OURS) == Plan()


def test_servers_come_and_change_before_others_go() -> None:
    found = planned([server(VIP, TWO)], [held(VIP, ONE), held(MARK, ONE)])
    assert found.steps == (AddDestination(VIP, TWO), EditDestination(VIP, ONE, 0), RemoveServer(MARK))
