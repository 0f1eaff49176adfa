"""The bytes that links are asked by, and what the answers say."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from netpol.dataplane.netlink import Request, attribute, attributes
from proxy.kernel import link_messages as messages
from proxy.kernel.link_messages import Link, LinkFlag

FOUR, SIX = ip_address("10.96.0.1"), ip_address("fd00:96::1")
CREATE_EXCLUSIVE = 0x600


def head(request: Request) -> tuple[int, int, int]:
    number, flags, changed = struct.unpack_from("=iII", request.body)
    return number, flags, changed


def test_a_link_is_asked_for_by_name() -> None:
    request = messages.link_request("kube-dummy-if")
    assert (request.kind, request.flags, head(request)) == (18, 0, (0, 0, 0))
    assert attributes(request.body[12:]) == {3: b"kube-dummy-if\0"}


def test_a_dummy_is_made_up_and_without_arp() -> None:
    request = messages.add_dummy_request("kube-dummy-if")
    assert (request.kind, request.flags, head(request)) == (16, CREATE_EXCLUSIVE, (0, 0x81, 0x81))
    fields = attributes(request.body[12:])
    assert (fields[3], attributes(fields[18])) == (b"kube-dummy-if\0", {1: b"dummy\0"})


def test_a_tunnel_ends_at_its_address_whoever_sent_to_it() -> None:
    fields = attributes(messages.add_tunnel_request("kube-tunnel-if", FOUR).body[12:])
    info = attributes(fields[18])
    assert (info[1], attributes(info[2])) == (b"ipip\0", {2: FOUR.packed, 4: b"\x40"})
    fields = attributes(messages.add_tunnel_request("kube-tunnel-v6", SIX).body[12:])
    info = attributes(fields[18])
    assert (info[1], attributes(info[2])) == (b"ip6tnl\0", {2: SIX.packed, 4: b"\x40", 9: b"\0"})


def test_flags_and_alias_of_a_link_change_and_nothing_else() -> None:
    up = messages.set_flags_request(7, LinkFlag.UP | LinkFlag.NO_ARP)
    assert (up.kind, up.flags, up.body) == (16, 0, struct.pack("=iII", 7, 0x81, 0x81))
    alias = messages.set_alias_request(7, "what was")
    assert (alias.kind, alias.flags, head(alias)) == (16, 0, (7, 0, 0))
    assert attributes(alias.body[12:]) == {20: b"what was"}
    assert messages.remove_link_request(7) == Request(17, struct.pack("=iII", 7, 0, 0))


def test_an_answer_tells_a_link() -> None:
    told = struct.pack("=iII", 7, 0x10083, 0) + attribute(3, b"kube-dummy-if\0")
    link = messages.decode_link(told)
    assert link == Link(7, "kube-dummy-if", LinkFlag(0x10083), "")
    assert LinkFlag.UP | LinkFlag.NO_ARP in link.flags
    assert messages.decode_link(told + attribute(20, b"what was\0")).alias == "what was"
