"""Addresses, networks and ipBlocks of both families (G4, V5)."""

from __future__ import annotations

import enum
import ipaddress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


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

    >>> parse_address("010.0.0.7")
    IPv4Address('10.0.0.7')
    """
    if "%" in text:
        raise ValueError(f"{text!r} is an address with a zone")
    return ipaddress.ip_address(_without_leading_zeros(text))


def parse_network(text: str) -> Network:
    """The network `text` names, its host bits masked (V5); ValueError where it names none.

    A prefix length is required: the API has never accepted a bare address here.

    >>> parse_network("10.1.2.3/16")
    IPv4Network('10.1.0.0/16')
    """
    address, slash, length = text.partition("/")
    if not slash or not length.isascii() or not length.isdecimal() or "%" in address:
        raise ValueError(f"{text!r} is not a CIDR")
    return ipaddress.ip_network((_without_leading_zeros(address), int(length)), strict=False)


def _without_leading_zeros(text: str) -> str:
    parts = text.split(".")
    if len(parts) != 4 or not all(part.isascii() and part.isdecimal() for part in parts):
        return text
    return ".".join(str(int(part)) for part in parts)


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
