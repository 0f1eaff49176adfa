"""The bytes of rtnetlink's messages about links, both ways; `links` sends and receives them."""

from __future__ import annotations

import struct
from enum import Enum, IntFlag
from typing import NamedTuple

from netpol.dataplane.netlink import CREATE, EXCLUSIVE, NESTED, Request, attribute, attributes, text_attribute, word
from netpol.model.networks import Address

NEW_LINK, DELETE_LINK = 16, 17
_GET_LINK, _SET_LINK = 18, 19
_OF_A_BRIDGE = 7
"""The family of requests about bridges."""

_NAME, _MASTER, _PORT, _LINK_INFO, _ALIAS = 3, 10, 12, 18, 20
_KIND, _DATA, _PORT_KIND, _PORT_DATA = 1, 2, 4, 5
_RETURNS = 4
_TUNNEL_LOCAL, _TUNNEL_TTL, _TUNNEL_PROTOCOL = 2, 4, 9

_LINK_HEAD = struct.Struct("=iII")
"""A link's number, its flags, and which of them to change; what stands before it is of no use here."""

_HOPS = 64
_ON = b"\1"


class LinkFlag(IntFlag):
    """What is used of a link's flags."""

    UP = 0x01
    NO_ARP = 0x80


_NONE = LinkFlag(0)


class Tunnel(Enum):
    """A tunnel of packets in packets, whoever sent them; the value is the kernel's word."""

    IPV4 = "ipip"
    IPV6 = "ip6tnl"


class Link(NamedTuple):
    """A link as the kernel has it."""

    number: int
    name: str
    flags: LinkFlag
    alias: str = ""


class BridgePort(NamedTuple):
    """A link that is plugged into a bridge, both by their numbers."""

    number: int
    bridge: int
    returns: bool
    """Whether packets are sent back out of the port they came in by."""


def link_request(name: str) -> Request:
    """Ask for the link of this name."""
    return Request(_GET_LINK, _link_head() + text_attribute(_NAME, name))


def numbered_link_request(number: int) -> Request:
    """Ask for the link of this number."""
    return Request(_GET_LINK, _link_head(number))


def add_dummy_request(name: str) -> Request:
    """Make a link that leads nowhere and is up."""
    return _add_request(name, text_attribute(_KIND, "dummy"), LinkFlag.UP | LinkFlag.NO_ARP)


def add_tunnel_request(name: str, local: Address) -> Request:
    """Make a link, up, on which packets come out that were sent to `local` in a packet of its family."""
    tunnel = Tunnel.IPV4 if local.version == 4 else Tunnel.IPV6
    data = attribute(_TUNNEL_LOCAL, local.packed) + attribute(_TUNNEL_TTL, bytes([_HOPS]))
    if tunnel is Tunnel.IPV6:
        # 0 is either family inside.
        data += attribute(_TUNNEL_PROTOCOL, b"\0")
    return _add_request(name, text_attribute(_KIND, tunnel.value) + attribute(NESTED | _DATA, data), LinkFlag.UP)


def set_flags_request(number: int, flags: LinkFlag) -> Request:
    """Set these flags of a link, and leave the others."""
    return Request(NEW_LINK, _link_head(number, flags))


def set_alias_request(number: int, alias: str) -> Request:
    """Give a link another alias, "" being none."""
    return Request(NEW_LINK, _link_head(number) + attribute(_ALIAS, alias.encode()))


def remove_link_request(number: int) -> Request:
    """Do without a link."""
    return Request(DELETE_LINK, _link_head(number))


def decode_link(answer: bytes) -> Link:
    """A link; `answer` begins with its number."""
    number, flags, _ = _LINK_HEAD.unpack_from(answer)
    fields = attributes(answer[_LINK_HEAD.size :])
    return Link(number, _text(fields.get(_NAME, b"")), LinkFlag(flags), _text(fields.get(_ALIAS, b"")))


def links_request() -> Request:
    """Ask for every link."""
    return Request(_GET_LINK, _link_head())


def decode_port(answer: bytes) -> BridgePort | None:
    """A link that is a bridge's port; None for any other."""
    number, *_ = _LINK_HEAD.unpack_from(answer)
    fields = attributes(answer[_LINK_HEAD.size :])
    info = attributes(fields.get(_LINK_INFO, b""))
    if _MASTER not in fields or _text(info.get(_PORT_KIND, b"")) != "bridge":
        return None
    port = attributes(info.get(_PORT_DATA, b""))
    return BridgePort(number, word(fields[_MASTER]), returns=port.get(_RETURNS) == _ON)


def return_packets_request(number: int) -> Request:
    """Have a bridge's port send packets back where they came from."""
    mode = attribute(NESTED | _PORT, attribute(_RETURNS, _ON))
    return Request(_SET_LINK, _link_head(number) + mode, _OF_A_BRIDGE)


def _add_request(name: str, info: bytes, flags: LinkFlag) -> Request:
    body = _link_head(0, flags) + text_attribute(_NAME, name) + attribute(NESTED | _LINK_INFO, info)
    return Request(NEW_LINK, body, flags=CREATE | EXCLUSIVE)


def _link_head(number: int = 0, flags: LinkFlag = _NONE) -> bytes:
    return _LINK_HEAD.pack(number, flags, flags)


def _text(packed: bytes) -> str:
    return packed.rstrip(b"\0").decode("utf-8", "replace")
