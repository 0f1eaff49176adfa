"""The bytes that addresses are asked by, and what the answers say."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from netpol.dataplane import address_messages as messages
from netpol.dataplane.netlink import NESTED, Request, attribute, attributes

FOUR, SIX = ip_address("10.96.0.1"), ip_address("fd00:96::1")
CREATE_EXCLUSIVE = 0x600


def test_all_addresses_are_asked_for() -> None:
    assert messages.addresses_request() == Request(22, bytes(4))


def test_an_ipv4_address_is_of_the_link_alone() -> None:
    request = messages.add_address_request(7, FOUR)
    assert (request.kind, request.family, request.version, request.resource) == (20, 2, 32, 253)
    assert request.flags == CREATE_EXCLUSIVE
    assert (request.body[:4], attributes(request.body[4:])) == (b"\7\0\0\0", {1: FOUR.packed, 2: FOUR.packed})


def test_an_ipv6_address_is_past_its_time_from_the_beginning() -> None:
    request = messages.add_address_request(7, SIX)
    assert (request.kind, request.family, request.version, request.resource) == (20, 10, 128, 0)
    assert attributes(request.body[4:]) == {
        1: SIX.packed,
        2: SIX.packed,
        6: struct.pack("=IIII", 0, 0xFFFFFFFF, 0, 0),
        8: struct.pack("=I", 0x202),
    }


def test_an_address_is_removed_by_what_it_is() -> None:
    assert messages.remove_address_request(7, FOUR) == Request(
        21, b"\7\0\0\0" + attribute(2, FOUR.packed), 2, version=32
    )
    assert messages.remove_address_request(7, SIX).version == 128


def test_an_answer_tells_an_address_and_whose_it_is() -> None:
    told = b"\7\0\0\0" + attribute(1, SIX.packed)
    assert (messages.link_of_address(told), messages.decode_address(told)) == (7, SIX)
    peer = b"\7\0\0\0" + attribute(1, ip_address("10.0.0.2").packed) + attribute(2, FOUR.packed)
    assert messages.decode_address(peer) == FOUR
    assert messages.decode_address(b"\7\0\0\0" + attribute(NESTED | 9, bytes(4))) is None
