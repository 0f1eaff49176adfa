"""All that services ask of this node together."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import address
from proxy_builders import destination, server

from netpol.compiler.ruleset import Action, AddressPort, Hook, InNetwork, Jump, Member, Table, TableName
from netpol.model.networks import Family, Network, parse_network
from netpol.model.notices import Notice
from netpol.model.ports import Protocol
from netpol.settings import ProxySettings
from proxy import names
from proxy.model import Origin, VirtualServer
from proxy.services.desired import NOTHING, Desired, Touched
from proxy.services.direct_return import mark_of
from proxy.services.served import HealthCheck, Served

V4 = Family.IPV4
A, B = ("web", "a"), ("web", "b")
KEY, OTHER = server("192.0.2.1:80/TCP"), server("192.0.2.2:80/TCP")
OF_A = VirtualServer(KEY, Origin.EXTERNAL, title="web/a:http")
OF_B = VirtualServer(KEY, Origin.LOAD_BALANCER, title="web/b:http")
LOCAL_SET = names.local_set(V4)
RECORD_OF_A = AddressPort(KEY.address.packed, Protocol.TCP, 80, "web/a:http external")
RECORD_OF_B = RECORD_OF_A._replace(comment="web/b:http load balancer")


@pytest.fixture
def desired() -> Desired:
    return Desired((V4,), ProxySettings())


def serving(one: VirtualServer, *members: Member) -> Served:
    """One server, its address on the link and these members of the set of local endpoints."""
    return Served({one.key: one}, frozenset({KEY.address}), {LOCAL_SET: frozenset(members)} if members else {})


def records(desired: Desired) -> frozenset[Member]:
    return desired.sets[names.owned_set(V4)].members


# --- at first


def test_at_first_there_are_empty_sets_and_the_tables_of_no_service() -> None:
    desired = Desired(tuple(Family), ProxySettings())
    assert len(desired.sets) == 20
    assert not any(each.members for each in desired.sets.values())
    assert {name: set(tables) for name, tables in desired.tables.items()} == {
        TableName.FILTER: set(Family),
        TableName.NAT: set(Family),
        TableName.MANGLE: set(Family),
    }
    assert desired.tables[TableName.MANGLE][V4] == Table({}, {"NETPOL-SERVICE-PREROUTING": ()})
    assert not desired.changed()


# --- services that come, change and go


def test_what_a_service_asks_for_is_there_and_recorded(desired: Desired) -> None:
    desired.put(A, serving(OF_A))
    assert desired.changed() == Touched(
        services=frozenset({A}),
        servers=frozenset({KEY}),
        addresses=frozenset({KEY.address}),
        sets=frozenset({names.owned_set(V4)}),
    )
    assert desired.servers == {KEY: OF_A}
    assert desired.addresses == {KEY.address}
    assert records(desired) == {RECORD_OF_A}
    assert desired.served == {A: serving(OF_A)}


def test_another_destination_touches_nothing_but_its_server(desired: Desired) -> None:
    desired.put(A, serving(OF_A))
    desired.changed()
    moved = replace(OF_A, destinations=frozenset({destination("10.1.0.1:80")}))
    desired.put(A, serving(moved))
    assert desired.changed() == Touched(services=frozenset({A}), servers=frozenset({KEY}))
    assert desired.servers[KEY] == moved


def test_a_service_that_asks_for_nothing_any_more_leaves_nothing(desired: Desired) -> None:
    desired.put(A, serving(OF_A))
    came = desired.changed()
    desired.put(A, NOTHING)
    assert desired.changed() == came
    assert (desired.servers, desired.addresses, records(desired), desired.served) == ({}, frozenset(), frozenset(), {})


def test_what_is_put_back_before_anybody_asked_has_not_changed(desired: Desired) -> None:
    desired.put(A, serving(OF_A, b"1111"))
    desired.changed()
    desired.put(A, NOTHING)
    desired.put(B, serving(OF_B))
    desired.put(B, NOTHING)
    desired.put(A, serving(OF_A, b"1111"))
    assert desired.changed() == Touched()


def test_what_several_ask_for_stays_until_none_does(desired: Desired) -> None:
    elsewhere = replace(OF_B, key=OTHER)
    desired.put(A, serving(OF_A, b"1111", b"2222"))
    desired.put(B, serving(elsewhere, b"2222"))
    desired.changed()
    desired.put(A, NOTHING)
    touched = desired.changed()
    assert touched.sets == {LOCAL_SET, names.owned_set(V4)}
    assert touched.addresses == frozenset()
    assert desired.addresses == {KEY.address}
    assert desired.sets[LOCAL_SET].members == {b"2222"}
    desired.put(B, NOTHING)
    assert desired.changed().addresses == {KEY.address}
    assert desired.sets[LOCAL_SET].members == frozenset()


@pytest.mark.parametrize("order", [(A, B), (B, A)], ids=["the first comes first", "the first comes last"])
def test_a_server_that_two_ask_for_is_the_firsts_by_name(desired: Desired, order: tuple[tuple[str, str], ...]) -> None:
    asked = {A: serving(OF_A), B: serving(OF_B)}
    for name in order:
        desired.put(name, asked[name])
    desired.changed()
    assert desired.servers == {KEY: OF_A}
    assert records(desired) == {RECORD_OF_A}
    desired.put(A, NOTHING)
    assert desired.changed().servers == {KEY}
    assert desired.servers == {KEY: OF_B}
    assert records(desired) == {RECORD_OF_B}


# --- tables


def test_a_server_that_keeps_the_clients_address_is_in_the_nat_table(desired: Desired) -> None:
    desired.put(A, Served(keeping=frozenset({KEY})))
    assert desired.changed() == Touched(services=frozenset({A}), tables=frozenset({TableName.NAT}))
    keep = desired.tables[TableName.NAT][V4].chains["NETPOL-SERVICE-KEEP"]
    assert [rule.target for rule in keep] == [Action.ACCEPT]


def test_a_mark_is_in_the_mangle_table_and_no_record(desired: Desired) -> None:
    mark = mark_of(KEY)
    desired.put(A, Served({mark: replace(OF_A, key=mark)}, marks={mark: KEY}))
    assert desired.changed() == Touched(
        services=frozenset({A}), servers=frozenset({mark}), tables=frozenset({TableName.MANGLE})
    )
    assert desired.tables[TableName.MANGLE][V4].hooks[Hook.PREROUTING].target == Jump("NETPOL-SERVICE-PREROUTING")
    assert records(desired) == frozenset()


def test_the_rule_of_a_mark_says_for_whom_it_is(desired: Desired) -> None:
    mark = mark_of(KEY)

    def comments() -> list[str]:
        return [rule.comment for rule in desired.tables[TableName.MANGLE][V4].chains["NETPOL-SERVICE-PREROUTING"]]

    desired.put(A, Served({mark: replace(OF_A, key=mark)}, marks={mark: KEY}))
    desired.changed()
    assert comments() == ["web/a:http external"]
    desired.put(A, Served({mark: replace(OF_A, key=mark, title="web/a:https")}, marks={mark: KEY}))
    assert desired.changed().tables == {TableName.MANGLE}
    assert comments() == ["web/a:https external"]


def test_the_pods_ranges_are_in_the_nat_table(desired: Desired) -> None:
    def ranges() -> list[Network]:
        rules = desired.tables[TableName.NAT][V4].chains["NETPOL-SERVICE-POSTROUTING"]
        return [match.network for rule in rules for match in rule.matches if isinstance(match, InNetwork)]

    for _ in range(2):
        desired.put_pod_ranges([parse_network("10.1.0.0/24"), parse_network("fd00::/64")])
    assert desired.changed() == Touched(tables=frozenset({TableName.NAT}))
    assert ranges() == [parse_network("10.1.0.0/24")]
    desired.put_pod_ranges([parse_network("10.1.0.0/24"), parse_network("fd00:1::/64")])
    assert not desired.changed()
    desired.put_pod_ranges([])
    assert desired.changed() == Touched(tables=frozenset({TableName.NAT}))
    assert ranges() == []


def test_the_nodes_ranges_change_nothing_where_the_clusters_are_told() -> None:
    desired = Desired((V4,), ProxySettings(cluster_cidrs=(parse_network("10.0.0.0/8"),)))
    desired.put_pod_ranges([parse_network("10.1.0.0/24")])
    assert not desired.changed()


# --- what else there is


def test_health_checks_are_followed(desired: Desired) -> None:
    for count in (0, 2):
        desired.put(A, Served(health_check=HealthCheck(32000, count)))
        assert desired.changed() == Touched(services=frozenset({A}), health_checks=True)
        assert desired.health_checks == {A: HealthCheck(32000, count)}
    desired.put(A, NOTHING)
    assert desired.changed().health_checks
    assert desired.health_checks == {}


def test_notices_are_followed(desired: Desired) -> None:
    notice = Notice("Service", "web", "a", "spec.externalIPs[0]", "not yours")
    desired.put(A, Served(notices=(notice,)))
    assert desired.changed() == Touched(services=frozenset({A}), noticed=frozenset({A}))
    assert desired.notices == {A: (notice,)}
    desired.put(A, NOTHING)
    assert desired.changed().noticed == {A}
    assert desired.notices == {}


def test_a_pod_answers_for_all_services_that_it_is_behind(desired: Desired) -> None:
    pod = address("10.1.0.1")
    desired.put(A, Served(tunnels={pod: frozenset({KEY.address})}))
    assert desired.changed() == Touched(services=frozenset({A}), tunnels=True)
    desired.put(B, Served(tunnels={pod: frozenset({KEY.address, OTHER.address})}))
    assert desired.changed().tunnels
    assert desired.tunnels == {pod: {KEY.address, OTHER.address}}
    desired.put(A, NOTHING)
    assert not desired.changed().tunnels
    desired.put(B, NOTHING)
    assert desired.changed().tunnels
    assert desired.tunnels == {}


@pytest.mark.parametrize(
    "touched",
    [
        Touched(services=frozenset({A})),
        Touched(servers=frozenset({KEY})),
        Touched(addresses=frozenset({KEY.address})),
        Touched(sets=frozenset({LOCAL_SET})),
        Touched(tables=frozenset({TableName.NAT})),
        Touched(health_checks=True),
        Touched(tunnels=True),
        Touched(noticed=frozenset({A})),
    ],
)
def test_whatever_is_touched_is_something(touched: Touched) -> None:
    assert touched
    assert not Touched()


def test_what_either_touched_is_touched() -> None:
    one = Touched(services=frozenset({A}), sets=frozenset({LOCAL_SET}), tunnels=True)
    other = Touched(services=frozenset({B}), servers=frozenset({KEY}))
    both = Touched(frozenset({A, B}), frozenset({KEY}), sets=frozenset({LOCAL_SET}), tunnels=True)
    assert (one | other, other | one, one | Touched()) == (both, both, one)
