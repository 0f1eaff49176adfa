"""The bytes of rtnetlink's messages about addresses, both ways."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

from netpol.dataplane.netlink import AF_NUMBERS, CREATE, EXCLUSIVE, Request, attribute, attributes, word_attribute
from netpol.model.networks import Address, Family, family_of

LOOPBACK = 1
"""The kernel gives this number to the loopback of every network namespace."""

DELETE_ADDRESS = 21
_NEW_ADDRESS, _GET_ADDRESS = 20, 22
_ADDRESS, _LOCAL, _LIFETIMES, _FLAGS = 1, 2, 6, 8
_SCOPE_OF_THE_LINK = 253
_WITHOUT_DETECTION, _WITHOUT_ROUTE_OF_ITS_PREFIX = 0x02, 0x200
_FOREVER = 0xFFFFFFFF

_LINK = struct.Struct("=I")


def addresses_request() -> Request:
    """Ask for the addresses of every link."""
    return Request(_GET_ADDRESS, _LINK.pack(0))


def add_address_request(link: int, address: Address) -> Request:
    """Give a link an address of its own that no connection is made from if another will do."""
    family = family_of(address)
    body = _LINK.pack(link) + attribute(_LOCAL, address.packed) + attribute(_ADDRESS, address.packed)
    scope = _SCOPE_OF_THE_LINK
    if family is Family.IPV6:
        # Its scope is in the address: an address past its time is the one that is not chosen. Nobody else has
        # it, so it need not be asked for, and all that a route of its prefix would say is said by the local one.
        scope = 0
        body += word_attribute(_FLAGS, _WITHOUT_DETECTION | _WITHOUT_ROUTE_OF_ITS_PREFIX)
        body += attribute(_LIFETIMES, struct.pack("=IIII", 0, _FOREVER, 0, 0))
    return Request(_NEW_ADDRESS, body, AF_NUMBERS[family], CREATE | EXCLUSIVE, resource=scope, version=family.bits)


def remove_address_request(link: int, address: Address) -> Request:
    """Take an address from a link."""
    family = family_of(address)
    # Without the other attribute, the length of an IPv4 prefix is not asked about.
    body = _LINK.pack(link) + attribute(_LOCAL, address.packed)
    return Request(DELETE_ADDRESS, body, AF_NUMBERS[family], version=family.bits)


def link_of_address(answer: bytes) -> int:
    """The number of the link that an address is of."""
    return int(_LINK.unpack_from(answer)[0])


def decode_address(answer: bytes) -> Address | None:
    """An address; of a link to one peer, this end's. None where it is of no family that is known here."""
    fields = attributes(answer[_LINK.size :])
    packed = fields.get(_LOCAL) or fields.get(_ADDRESS, b"")
    if len(packed) == 4:
        return IPv4Address(packed)
    return IPv6Address(packed) if len(packed) == 16 else None
