"""Whose a virtual server is, and what it is for."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

import pytest

from netpol.command.service_listing import ListedServer, listed_servers
from netpol.compiler.ruleset import AddressPort, IpSet, SetType
from netpol.dataplane.render import render_rule
from netpol.model.networks import Family
from netpol.model.ports import Protocol
from proxy.model import Destination, HeldDestination, HeldServer, Scheduling, ServerAddress, ServerKey, ServerMark
from proxy.names import addresses_set, owned_set
from proxy.ownership import Marking, Record
from proxy.services.direct_return import mark_of
from proxy.services.rules import mangle_table


def key(address: str, port: int = 80, protocol: Protocol = Protocol.TCP) -> ServerAddress:
    return ServerAddress(ip_address(address), protocol, port)


def held(where: ServerKey, *endpoints: str) -> HeldServer:
    """A server that has these endpoints, all on port 8080."""
    return HeldServer(
        where, Scheduling(), {Destination(ip_address(each), 8080): HeldDestination() for each in endpoints}
    )


def sets(records: Mapping[ServerAddress, str], bound: tuple[str, ...] = ()) -> dict[str, IpSet]:
    """The sets of IPv4 with these records, and these addresses on the link."""
    owned = frozenset(
        AddressPort(each.address.packed, each.protocol, each.port, words) for each, words in records.items()
    )
    addresses = frozenset(ip_address(each).packed for each in bound)
    family = Family.IPV4
    return {
        owned_set(family): IpSet(owned_set(family), SetType.ADDRESS_PORTS, family, owned, has_comments=True),
        addresses_set(family): IpSet(addresses_set(family), SetType.ADDRESSES, family, addresses),
    }


def shown(found: list[ListedServer]) -> list[tuple[str, str, str, bool]]:
    return [(each.record.title, each.record.origin, each.where, each.is_ours) for each in found]


def test_a_record_tells_the_service_and_what_the_server_is_for() -> None:
    http = key("10.96.0.10")
    (found,) = listed_servers([held(http)], sets({http: "shop/web:http cluster"}))
    assert found == ListedServer(held(http), http, Record("shop/web:http", "cluster"), is_ours=True)
    assert (found.namespace, found.name) == ("shop", "web")


def test_what_a_server_is_for_may_have_several_words_and_a_port_may_be_a_number() -> None:
    port = key("192.0.2.1", 30080)
    (found,) = listed_servers([held(port)], sets({port: "shop/web:80 node port"}))
    assert (found.record, found.name) == (Record("shop/web:80", "node port"), "web")


def test_ours_come_first_by_service_and_others_by_address() -> None:
    web, other, foreign = key("10.96.0.10"), key("10.96.0.9"), key("198.51.100.1")
    records = {web: "shop/web:http cluster", other: "shop/api:http cluster"}
    found = listed_servers([held(key("198.51.100.2")), held(foreign), held(web), held(other)], sets(records))
    assert shown(found) == [
        ("shop/api:http", "cluster", "10.96.0.9:80/TCP", True),
        ("shop/web:http", "cluster", "10.96.0.10:80/TCP", True),
        ("", "", "198.51.100.1:80/TCP", False),
        ("", "", "198.51.100.2:80/TCP", False),
    ]


def test_the_protocol_and_the_port_belong_to_the_record() -> None:
    dns = key("10.96.0.10", 53, Protocol.UDP)
    found = listed_servers(
        [held(key("10.96.0.10", 53)), held(key("10.96.0.10", 54, Protocol.UDP))], sets({dns: "a/b:c cluster"})
    )
    assert not any(each.is_ours for each in found)


@pytest.mark.parametrize("address", ["203.0.113.7", "fd00::7"])
def test_a_mark_of_ours_stands_for_what_its_rule_marks(address: str) -> None:
    outside = key(address, 53, Protocol.UDP)
    marks = {mark_of(outside): Marking(outside, Record("shop/dns:53", "load balancer"))}
    (rules,) = mangle_table(outside.family, marks).chains.values()
    marking = [render_rule(rule, outside.family) for rule in rules]
    (found,) = listed_servers([held(mark_of(outside))], sets({}), marking)
    assert (found.where, found.is_ours) == (str(outside), True)
    assert (found.namespace, found.name, found.record.origin) == ("shop", "dns", "load balancer")


def test_a_server_at_the_address_that_a_mark_stands_for_is_somebody_elses() -> None:
    outside = key("203.0.113.7")
    marks = {mark_of(outside): Marking(outside, Record("shop/web:http", "external"))}
    (rules,) = mangle_table(outside.family, marks).chains.values()
    found = listed_servers(
        [held(outside), held(mark_of(outside))], sets({}), [render_rule(rule, outside.family) for rule in rules]
    )
    assert shown(found) == [("shop/web:http", "external", str(outside), True), ("", "", str(outside), False)]


def test_a_mark_of_ours_without_a_record_is_ours_and_one_of_others_is_not() -> None:
    ours, theirs = mark_of(key("203.0.113.7")), ServerMark(Family.IPV4, 7)
    found = listed_servers([held(theirs), held(ours)], sets({}))
    assert shown(found) == [("", "", str(ours), True), ("", "", "mark 0x7 of IPv4", False)]


def test_a_server_at_an_address_of_the_link_is_ours_whoever_made_it() -> None:
    (found,) = listed_servers([held(key("10.96.0.10"))], sets({}, bound=("10.96.0.10",)))
    assert found.is_ours
    assert (found.namespace, found.name) == ("", "")


def test_without_sets_nothing_is_ours() -> None:
    assert not listed_servers([held(key("10.96.0.10"))], {})[0].is_ours


def test_endpoints_are_in_the_order_of_their_addresses() -> None:
    (found,) = listed_servers([held(key("10.96.0.10"), "10.0.0.10", "10.0.0.9")], {})
    assert [str(destination) for destination, _ in found.destinations] == ["10.0.0.9:8080", "10.0.0.10:8080"]
