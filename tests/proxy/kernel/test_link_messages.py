"""The bytes that links are asked by, and what the answers say."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from netpol.dataplane.netlink import NESTED, Request, attribute, attributes
from proxy.kernel import link_messages as messages
from proxy.kernel.link_messages import BridgePort, Link, LinkFlag

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


def test_all_links_are_asked_for() -> None:
    assert messages.links_request() == Request(18, bytes(12))


def told_port(kind: bytes, mode: bytes) -> bytes:
    info = attribute(1, b"veth\0") + attribute(4, kind) + attribute(NESTED | 5, attribute(1, b"\3") + mode)
    return struct.pack("=iII", 7, 0x1043, 0) + attribute(10, struct.pack("=I", 3)) + attribute(NESTED | 18, info)


def test_an_answer_tells_a_port_of_a_bridge_and_whether_it_returns_packets() -> None:
    assert messages.decode_port(told_port(b"bridge\0", attribute(4, b"\0"))) == BridgePort(7, 3, returns=False)
    assert messages.decode_port(told_port(b"bridge\0", attribute(4, b"\1"))) == BridgePort(7, 3, returns=True)
    assert messages.decode_port(told_port(b"bridge\0", b"")) == BridgePort(7, 3, returns=False)


def test_a_link_that_is_plugged_into_anything_else_is_no_port() -> None:
    assert messages.decode_port(told_port(b"bond\0", attribute(4, b"\1"))) is None
    assert messages.decode_port(struct.pack("=iII", 7, 0x1043, 0) + attribute(18, attribute(1, b"bridge\0"))) is None
    assert messages.decode_port(struct.pack("=iII", 7, 0x1043, 0) + attribute(18, attribute(4, b"bridge\0"))) is None


def test_a_port_is_made_to_return_packets_and_nothing_else() -> None:
    request = messages.return_packets_request(7)
    assert (request.kind, request.family, request.flags) == (19, 7, 0)
    assert request.body == struct.pack("=iII", 7, 0, 0) + bytes.fromhex("0c000c80 05000400 01000000")
