"""Whose a virtual server is: by what is recorded, by its address, by its mark."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from proxy_builders import addresses, server

from netpol.compiler.ruleset import AddressPort, IpSet, SetType
from netpol.model.networks import Family
from netpol.model.ports import Protocol
from proxy.model import Origin, ServerKey, ServerMark, VirtualServer
from proxy.names import addresses_set, owned_set
from proxy.ownership import (
    Marking,
    Record,
    has_records,
    is_ours,
    marked_servers,
    record_of,
    recorded_addresses,
    recorded_servers,
)

WEB, DNS = server("10.96.0.10:80/TCP"), server("[fd00::10]:53/UDP")
(VIP,) = addresses("198.51.100.9")


def owned(family: Family, *members: AddressPort) -> dict[str, IpSet]:
    name = owned_set(family)
    return {name: IpSet(name, SetType.ADDRESS_PORTS, family, frozenset(members), has_comments=True)}


SETS = {
    **owned(Family.IPV4, AddressPort(WEB.address.packed, Protocol.TCP, 80, "shop/web:http node port")),
    **owned(Family.IPV6, AddressPort(DNS.address.packed, Protocol.UDP, 53, "kube-system/dns:dns cluster")),
    addresses_set(Family.IPV4): IpSet(
        addresses_set(Family.IPV4), SetType.ADDRESSES, Family.IPV4, frozenset({VIP.packed})
    ),
}


def test_sets_tell_which_servers_are_ours_and_for_whom_they_are() -> None:
    assert recorded_servers(SETS) == {
        WEB: Record("shop/web:http", "node port"),
        DNS: Record("kube-system/dns:dns", "cluster"),
    }
    assert recorded_addresses(SETS) == {VIP}


def test_without_sets_nothing_is_recorded() -> None:
    assert (recorded_servers({}), recorded_addresses({}), has_records({})) == ({}, frozenset(), False)


def test_a_set_without_members_is_a_record_too() -> None:
    assert has_records(owned(Family.IPV6))
    assert recorded_servers(owned(Family.IPV6)) == {}


@pytest.mark.parametrize("origin", Origin)
def test_a_record_is_read_as_it_was_written(origin: Origin) -> None:
    record = record_of(VirtualServer(WEB, origin, title="shop/web:80"))
    member = AddressPort(WEB.address.packed, Protocol.TCP, 80, str(record))
    assert recorded_servers(owned(Family.IPV4, member)) == {WEB: record}
    assert record == ("shop/web:80", origin.value)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (WEB, True),
        (server("10.96.0.10:80/UDP"), False),
        (server("10.96.0.10:81/TCP"), False),
        (server("198.51.100.9:81/TCP"), False),
        (server("198.51.100.8:80/TCP"), False),
        (ServerMark(Family.IPV4, 0x4E000001), True),
        (ServerMark(Family.IPV6, 0x4E000001), True),
        (ServerMark(Family.IPV4, 7), False),
    ],
    ids=str,
)
def test_ours_are_what_is_recorded_or_for_a_mark_of_ours(key: ServerKey, expected: bool) -> None:
    assert is_ours(key, recorded_servers(SETS), recorded_addresses(SETS)) is expected


def test_where_nothing_is_recorded_the_link_tells() -> None:
    assert is_ours(server("198.51.100.9:81/TCP"), (), recorded_addresses(SETS))
    assert not is_ours(server("198.51.100.8:80/TCP"), (), recorded_addresses(SETS))


def test_rules_tell_whom_marks_are_for_and_others_rules_nothing() -> None:
    words = '-m comment --comment "shop/far:http load balancer" -j MARK --set-xmark 0x4e00000a/0xffffffff'
    found = marked_servers(
        [
            f"-d 198.51.100.9/32 -p tcp -m tcp --dport 80 {words}",
            f"-d 2001:db8::9/128 -p udp -m udp --dport 53 {words}",
            "-d 198.51.100.9/32 -p tcp -m tcp --dport 81 -j ACCEPT",
            "-m comment --comment nothing -j MARK --set-xmark 0x4e00000b/0xffffffff",
        ]
    )
    record = Record("shop/far:http", "load balancer")
    assert found == {
        ServerMark(Family.IPV4, 0x4E00000A): Marking(server("198.51.100.9:80/TCP"), record),
        ServerMark(Family.IPV6, 0x4E00000A): Marking(server("[2001:db8::9]:53/UDP"), record),
    }
    assert found[ServerMark(Family.IPV4, 0x4E00000A)].address.address == ip_address("198.51.100.9")
