"""Protocols and what a policy's port entry allows (B9, V6, V7)."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass

from netpol.model.networks import Family


class Protocol(enum.Enum):
    """A protocol a policy can name, or ICMP of either family; the values are the API's words."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"
    ICMP = "ICMP"

    @property
    def has_ports(self) -> bool:
        """True for the protocols a port entry can name (G10: ICMP needs a rule with no ports)."""
        return self is not Protocol.ICMP


@dataclass(frozen=True, slots=True)
class OtherProtocol:
    """A protocol that no policy can name, by its number: like ICMP, it needs a rule with no ports (G10)."""

    number: int

    @property
    def has_ports(self) -> bool:
        """False: no port entry can name it."""
        return False

    @property
    def value(self) -> str:
        """The number, which stands where other protocols have a name."""
        return str(self.number)

    def __str__(self) -> str:
        """The number behind a word that tells it from a port.

        >>> str(OtherProtocol(47)), OtherProtocol(47).value
        ('protocol 47', '47')
        """
        return f"protocol {self.number}"


NUMBERS_WITH_PORTS: Mapping[Protocol, int] = {Protocol.TCP: 6, Protocol.UDP: 17, Protocol.SCTP: 132}
"""The numbers in packets of the protocols that a port entry can name: the same in both families."""

PROTOCOL_NUMBERS: Mapping[Family, Mapping[Protocol, int]] = {
    Family.IPV4: {**NUMBERS_WITH_PORTS, Protocol.ICMP: 1},
    Family.IPV6: {**NUMBERS_WITH_PORTS, Protocol.ICMP: 58},
}
"""The numbers in packets of each family; the other family's ICMP is an `OtherProtocol` there."""

PROTOCOLS_BY_NUMBER: Mapping[Family, Mapping[int, Protocol]] = {
    family: {number: protocol for protocol, number in numbers.items()} for family, numbers in PROTOCOL_NUMBERS.items()
}

FIRST_PORT, LAST_PORT = 1, 65535

PROTOCOLS_WITH_PORTS = {protocol.value: protocol for protocol in Protocol if protocol.has_ports}
"""The protocols that a port entry can name, by the API's words."""

_PORT_AND_PROTOCOL = re.compile(r"(?P<port>[0-9]+)/(?P<protocol>[A-Za-z]+)")


@dataclass(frozen=True, slots=True)
class ProtocolPort:
    """What a connection opens to: one port of a protocol; ICMP has none."""

    protocol: Protocol
    port: int | None

    @classmethod
    def parse(cls, text: str) -> ProtocolPort:
        """The protocol and port that `text` names, in either case; ValueError, in words, where it names none.

        >>> str(ProtocolPort.parse("53/udp")), str(ProtocolPort.parse("icmp"))
        ('53/UDP', 'ICMP')
        """
        if text.upper() == Protocol.ICMP.value:
            return cls(Protocol.ICMP, None)
        found = _PORT_AND_PROTOCOL.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no PORT/PROTO such as 80/TCP or 53/UDP, and not ICMP")
        protocol = PROTOCOLS_WITH_PORTS.get(found["protocol"].upper())
        if protocol is None:
            raise ValueError(f"{text!r}: the protocols with ports are {', '.join(PROTOCOLS_WITH_PORTS)}")
        # Leading zeros aside, more than five digits are beyond the last port, and int() need not see them.
        digits = found["port"].lstrip("0")
        if not digits or len(digits) > 5 or not FIRST_PORT <= int(digits) <= LAST_PORT:
            raise ValueError(f"{text!r}: ports go from {FIRST_PORT} to {LAST_PORT}")
        return cls(protocol, int(digits))

    def __str__(self) -> str:
        return self.protocol.value if self.port is None else f"{self.port}/{self.protocol.value}"


@dataclass(frozen=True, slots=True, order=True)
class PortRange:
    """Ports `first` to `last`, both included."""

    first: int
    last: int

    def __contains__(self, port: int) -> bool:
        return self.first <= port <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


ALL_PORTS = PortRange(0, LAST_PORT)


@dataclass(frozen=True, slots=True)
class NumericPorts:
    """A port entry by number: this protocol on these ports."""

    protocol: Protocol
    ports: PortRange

    def __str__(self) -> str:
        """The ports before the protocol, as the API's users write them.

        >>> str(NumericPorts(Protocol.TCP, PortRange(80, 80)))
        '80/TCP'
        """
        return f"every port/{self.protocol.value}" if self.ports == ALL_PORTS else f"{self.ports}/{self.protocol.value}"


@dataclass(frozen=True, slots=True)
class NamedPort:
    """A port entry by name: whatever number the destination pod gives this name and protocol (V7)."""

    protocol: Protocol
    name: str

    def __str__(self) -> str:
        return f"{self.name}/{self.protocol.value}"


PortEntry = NumericPorts | NamedPort
