"""The bytes that rules and routes are asked by, and what the answers say."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest

from netpol.dataplane.netlink import attribute, attributes
from netpol.model.networks import Family
from proxy.kernel import route_messages as messages

MARK = 0x4E000001
RULE_FIELDS = {15: struct.pack("=I", 78), 10: struct.pack("=I", MARK), 16: b"\xff\xff\xff\xff"}


@pytest.mark.parametrize(("family", "number"), [(Family.IPV4, 2), (Family.IPV6, 10)])
def test_a_rule_is_about_the_whole_mark(family: Family, number: int) -> None:
    added = messages.add_rule_request(family, MARK, 78, 7)
    assert (added.kind, added.family, added.flags) == (32, number, 0x600)
    assert added.body[:8] == bytes([0, 0, 0, 1, 0, 0, 0, 0])
    assert attributes(added.body[8:]) == {**RULE_FIELDS, 6: struct.pack("=I", 7)}
    removed = messages.remove_rule_request(family, MARK, 78)
    assert (removed.kind, removed.family, removed.flags) == (33, number, 0)
    assert attributes(removed.body[8:]) == RULE_FIELDS


def told(fields: dict[int, bytes]) -> bytes:
    return bytes(8) + b"".join(attribute(*each) for each in fields.items())


def test_only_a_rule_about_a_whole_mark_and_this_table_tells_a_mark() -> None:
    assert messages.decode_mark(told(RULE_FIELDS), 78) == MARK
    assert messages.decode_mark(told(RULE_FIELDS), 79) is None
    assert messages.decode_mark(told({**RULE_FIELDS, 16: struct.pack("=I", 0xFF)}), 78) is None
    assert messages.decode_mark(told({15: RULE_FIELDS[15]}), 78) is None


@pytest.mark.parametrize(("family", "number", "scope"), [(Family.IPV4, 2, 254), (Family.IPV6, 10, 0)])
def test_a_local_route_takes_everything_for_the_nodes_own(family: Family, number: int, scope: int) -> None:
    added, removed = (
        make(family, 78, 1) for make in (messages.add_local_route_request, messages.remove_local_route_request)
    )
    assert (added.kind, added.family, added.flags, added.version) == (24, number, 0x600, 0)
    assert (removed.kind, removed.flags, removed.body) == (25, 0, added.body)
    assert added.body[:8] == bytes([0, 3, scope, 2, 0, 0, 0, 0])
    assert attributes(added.body[8:]) == {15: struct.pack("=I", 78), 4: struct.pack("=I", 1)}


def test_the_way_to_an_address_is_a_link() -> None:
    request = messages.way_request(ip_address("fd00::1"))
    assert (request.kind, request.family, request.version) == (26, 10, 128)
    assert attributes(request.body[8:]) == {1: ip_address("fd00::1").packed}
    assert messages.decode_way(told({4: struct.pack("=I", 7)})) == 7
    assert messages.decode_way(told({1: bytes(4)})) is None
