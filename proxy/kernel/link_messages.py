"""The bytes of rtnetlink's messages about links and their addresses, both ways; `links` sends and receives them."""

from __future__ import annotations

import struct
from enum import Enum, IntFlag
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from netpol.dataplane.netlink import EXCLUSIVE, NESTED, Request, attribute, attributes, text_attribute
from netpol.model.networks import Address, Family, family_of

_NEW_LINK, _DELETE_LINK, _GET_LINK = 16, 17, 18
_NEW_ADDRESS, _DELETE_ADDRESS, _GET_ADDRESS = 20, 21, 22
_CREATE = 0x400
_AF_NUMBERS = {Family.IPV4: 2, Family.IPV6: 10}

# Of a link.
_NAME, _LINK_INFO, _ALIAS = 3, 18, 20
_KIND, _DATA = 1, 2
_TUNNEL_LOCAL, _TUNNEL_TTL, _TUNNEL_PROTOCOL = 2, 4, 9

# Of an address.
_ADDRESS, _LOCAL, _LIFETIMES, _ADDRESS_FLAGS = 1, 2, 6, 8
_SCOPE_OF_THE_LINK = 253
_WITHOUT_DETECTION, _WITHOUT_ROUTE_OF_ITS_PREFIX = 0x02, 0x200
_FOREVER = 0xFFFFFFFF

_LINK_HEAD = struct.Struct("=iII")
"""A link's number, its flags, and which of them to change; what stands before it is of no use here."""
_NUMBER = struct.Struct("=I")
_WORD = struct.Struct("=I")

_HOPS = 64


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
    return Request(_NEW_LINK, _link_head(number, flags))


def set_alias_request(number: int, alias: str) -> Request:
    """Give a link another alias, "" being none."""
    return Request(_NEW_LINK, _link_head(number) + attribute(_ALIAS, alias.encode()))


def remove_link_request(number: int) -> Request:
    """Do without a link."""
    return Request(_DELETE_LINK, _link_head(number))


def decode_link(answer: bytes) -> Link:
    """A link; `answer` begins with its number."""
    number, flags, _ = _LINK_HEAD.unpack_from(answer)
    fields = attributes(answer[_LINK_HEAD.size :])
    return Link(number, _text(fields.get(_NAME, b"")), LinkFlag(flags), _text(fields.get(_ALIAS, b"")))


def addresses_request() -> Request:
    """Ask for the addresses of every link."""
    return Request(_GET_ADDRESS, _NUMBER.pack(0))


def add_address_request(number: int, address: Address) -> Request:
    """Give a link an address of its own that no connection is made from if another will do."""
    family = family_of(address)
    body = _NUMBER.pack(number) + attribute(_LOCAL, address.packed) + attribute(_ADDRESS, address.packed)
    scope = _SCOPE_OF_THE_LINK
    if family is Family.IPV6:
        # Its scope is in the address: an address past its time is the one that is not chosen. Nobody else has
        # it, so it need not be asked for, and all that a route of its prefix would say is said by the local one.
        scope = 0
        body += attribute(_ADDRESS_FLAGS, _WORD.pack(_WITHOUT_DETECTION | _WITHOUT_ROUTE_OF_ITS_PREFIX))
        body += attribute(_LIFETIMES, struct.pack("=IIII", 0, _FOREVER, 0, 0))
    return Request(_NEW_ADDRESS, body, _AF_NUMBERS[family], _CREATE | EXCLUSIVE, resource=scope, version=family.bits)


def remove_address_request(number: int, address: Address) -> Request:
    """Take an address from a link."""
    family = family_of(address)
    # Without the other attribute, the length of an IPv4 prefix is not asked about.
    body = _NUMBER.pack(number) + attribute(_LOCAL, address.packed)
    return Request(_DELETE_ADDRESS, body, _AF_NUMBERS[family], version=family.bits)


def link_of_address(answer: bytes) -> int:
    """The number of the link that an address is of."""
    return int(_NUMBER.unpack_from(answer)[0])


def decode_address(answer: bytes) -> Address | None:
    """An address; of a link to one peer, this end's. None where it is of no family that is known here."""
    fields = attributes(answer[_NUMBER.size :])
    packed = fields.get(_LOCAL) or fields.get(_ADDRESS, b"")
    if len(packed) == 4:
        return IPv4Address(packed)
    return IPv6Address(packed) if len(packed) == 16 else None


def _add_request(name: str, info: bytes, flags: LinkFlag) -> Request:
    body = _link_head(0, flags) + text_attribute(_NAME, name) + attribute(NESTED | _LINK_INFO, info)
    return Request(_NEW_LINK, body, flags=_CREATE | EXCLUSIVE)


def _link_head(number: int = 0, flags: LinkFlag = _NONE) -> bytes:
    return _LINK_HEAD.pack(number, flags, flags)


def _text(packed: bytes) -> str:
    return packed.rstrip(b"\0").decode("utf-8", "replace")
