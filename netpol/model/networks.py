"""Addresses, networks and ipBlocks of both families (G4, V5)."""

from __future__ import annotations

import enum
import ipaddress
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_CIDR = re.compile(r"([^/%]+)/([0-9]+)")
_MAPPED_BITS = 96
"""The length of the prefix of all IPv4 addresses in their IPv6 form."""
_OCTETS = 4


class Family(enum.Enum):
    """An IP version; the value is its number."""

    IPV4 = 4
    IPV6 = 6

    @property
    def bits(self) -> int:
        """The length of an address of this family."""
        return 32 if self is Family.IPV4 else 128


def family_of(value: Address | Network) -> Family:
    """The family of an address or a network."""
    return Family.IPV4 if value.version == 4 else Family.IPV6


def parse_address(text: str) -> Address:
    """The address `text` names; ValueError where it names none.

    Leading zeros are decimal, as older API servers stored them, and a zone index is refused: no packet carries one.
    Nor does one carry an IPv4 address in its IPv6 form: that is the IPv4 address.

    >>> parse_address("010.0.0.7"), parse_address("::ffff:10.0.0.7")
    (IPv4Address('10.0.0.7'), IPv4Address('10.0.0.7'))
    """
    if "%" in text:
        raise ValueError(f"{text!r} is an address with a zone")
    address = _address(text)
    return _mapped(address) or address


def parse_network(text: str) -> Network:
    """The network `text` names, its host bits masked (V5); ValueError where it names none.

    A prefix length is required: the API has never accepted a bare address here. A network of IPv4 addresses in
    their IPv6 form is the IPv4 network; one that has such an address and is wider than all of them is none.

    >>> parse_network("10.1.2.3/16"), parse_network("::ffff:10.1.2.3/112")
    (IPv4Network('10.1.0.0/16'), IPv4Network('10.1.0.0/16'))
    """
    found = _CIDR.fullmatch(text)
    network = _network(found[1], found[2]) if found else None
    if network is None:
        raise ValueError(f"{text!r} is not a CIDR")
    return network


def _network(start: str, length: str) -> Network | None:
    try:
        address = _address(start)
        mapped = _mapped(address)
        # A length that is too small for an IPv4 network is negative then, and refused.
        parts = (address, int(length)) if mapped is None else (mapped, int(length) - _MAPPED_BITS)
        return ipaddress.ip_network(parts, strict=False)
    except ValueError:
        return None


def _mapped(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one is another form of."""
    return address.ipv4_mapped if isinstance(address, IPv6Address) else None


def _address(text: str) -> Address:
    if text.count(".") == _OCTETS - 1 and text.isascii() and text.replace(".", "").isdecimal():
        # The library refuses leading zeros.
        return IPv4Address(bytes(map(int, text.split("."))))
    return ipaddress.ip_address(text)


@dataclass(frozen=True, slots=True)
class IPBlock:
    """A network with holes in it; the holes lie strictly inside (V5)."""

    network: Network
    excepts: frozenset[Network] = frozenset()

    def __contains__(self, address: Address) -> bool:
        """True where `address` lies in the network and in none of its holes."""
        return address in self.network and not any(address in hole for hole in self.excepts)

    def __str__(self) -> str:
        """
        >>> str(IPBlock(parse_network("10.0.0.0/8"), frozenset({parse_network("10.9.0.0/16")})))
        '10.0.0.0/8 except 10.9.0.0/16'
        """
        holes = ",".join(map(str, sorted(self.excepts, key=str)))
        return f"{self.network} except {holes}" if holes else str(self.network)
