"""What sets hold while servers change."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from proxy_builders import addresses, server

from netpol.compiler.names import services_set
from netpol.compiler.ruleset import AddressPort, AddressPortNetwork, IpSet, Member
from netpol.model.networks import Family
from netpol.model.ports import Protocol
from proxy import names
from proxy.model import ServerMark
from proxy.planning.staging import bound, held_back, meanwhile, spared, switching
from proxy.services.rules import empty_sets

SETS = empty_sets(Family.IPV4)
OWNED, SERVICES = names.owned_set(Family.IPV4), services_set(Family.IPV4)
SOURCES, ADDRESSES = names.sources_set(Family.IPV4), names.addresses_set(Family.IPV4)
LOCAL, EMPTY = names.local_set(Family.IPV4), names.empty_set(Family.IPV4)


def member(text: str, comment: str = "") -> AddressPort:
    address, port = text.split(":")
    return AddressPort(ip_address(address).packed, Protocol.TCP, int(port), comment)


def source(text: str) -> AddressPortNetwork:
    packed, protocol, port, _ = member(text)
    return AddressPortNetwork(packed, protocol, port, ip_address("203.0.113.0").packed, 24)


def filled(name: str, *members: Member) -> IpSet:
    return replace(SETS[name], members=frozenset(members))


STAYS, COMES, GOES = "10.96.0.1:80", "10.96.0.2:80", "10.96.0.3:80"


@pytest.mark.parametrize("name", [OWNED, LOCAL, EMPTY, names.restricted_set(Family.IPV4)])
def test_a_record_has_what_comes_and_what_goes(name: str) -> None:
    desired, held = filled(name, member(STAYS), member(COMES)), filled(name, member(STAYS), member(GOES))
    found = meanwhile([desired], {name: held})
    assert found == {name: filled(name, member(STAYS), member(COMES), member(GOES))}


def test_what_lets_in_has_neither() -> None:
    desired, held = filled(SERVICES, member(STAYS), member(COMES)), filled(SERVICES, member(STAYS), member(GOES))
    assert meanwhile([desired], {SERVICES: held})[SERVICES].members == {member(STAYS)}


def test_what_is_not_there_yet_lets_nobody_in() -> None:
    assert meanwhile([filled(SERVICES, member(COMES))], {})[SERVICES].members == frozenset()
    assert meanwhile([filled(OWNED, member(COMES))], {})[OWNED].members == {member(COMES)}


def test_who_opens_a_connection_waits_while_its_scheduler_is_switched() -> None:
    keys = [server(each) for each in ("10.96.0.1:80/TCP", "10.96.0.1:53/UDP", "[fd00:96::1]:80/TCP")]
    assert switching([*keys, ServerMark(Family.IPV4, 0x4E000001)]) == {
        "NETPOL-SERVICE-SWITCHING-4": {member("10.96.0.1:80")},
        "NETPOL-SERVICE-SWITCHING-6": {AddressPort(ip_address("fd00:96::1").packed, Protocol.TCP, 80)},
    }
    assert switching(keys[1:2]) == {}


def test_who_was_left_waiting_waits_no_more() -> None:
    name = names.switching_set(Family.IPV4)
    assert meanwhile([SETS[name]], {name: filled(name, member(STAYS))}) == {name: SETS[name]}


def test_a_record_with_another_comment_is_the_same_record() -> None:
    desired, held = filled(OWNED, member(STAYS, "new")), filled(OWNED, member(STAYS, "old"))
    assert meanwhile([desired], {OWNED: held})[OWNED].members == {member(STAYS, "new")}


def test_what_others_serve_is_theirs() -> None:
    sets = {
        OWNED: filled(OWNED, member(STAYS, "web"), member(GOES, "shop")),
        SERVICES: filled(SERVICES, member(STAYS), member(GOES)),
        EMPTY: filled(EMPTY, member(STAYS), member(GOES)),
        SOURCES: filled(SOURCES, source(STAYS), source(GOES)),
        LOCAL: filled(LOCAL, member(GOES)),
        ADDRESSES: filled(ADDRESSES, *(each.packed for each in addresses("10.96.0.1 10.96.0.3"))),
    }
    conflicts = {server("10.96.0.3:80/TCP")}
    assert spared(sets, conflicts) == {
        OWNED: filled(OWNED, member(STAYS, "web")),
        SERVICES: filled(SERVICES, member(STAYS)),
        EMPTY: filled(EMPTY, member(STAYS)),
        SOURCES: filled(SOURCES, source(STAYS)),
        LOCAL: sets[LOCAL],
        ADDRESSES: filled(ADDRESSES, ip_address("10.96.0.1").packed),
    }
    assert spared(sets, ()) == sets
    assert bound(addresses("10.96.0.1 10.96.0.3"), conflicts) == set(addresses("10.96.0.1"))


def test_of_what_was_refused_the_sets_say_what_they_said() -> None:
    wanted = {OWNED: filled(OWNED, member(STAYS)), SERVICES: filled(SERVICES, member(STAYS), member(COMES))}
    held = {OWNED: filled(OWNED, member(STAYS), member(GOES)), SERVICES: filled(SERVICES, member(STAYS))}
    refused = {server("10.96.0.2:80/TCP"), server("10.96.0.3:80/TCP")}
    assert held_back(wanted, held, refused) == held
    assert held_back(wanted, held, ()) == wanted


def test_what_has_its_first_endpoint_refused_is_refused_on() -> None:
    held = {EMPTY: filled(EMPTY, member(STAYS), member(GOES))}
    assert held_back({EMPTY: filled(EMPTY)}, held, {server("10.96.0.3:80/TCP")}) == {EMPTY: filled(EMPTY, member(GOES))}
