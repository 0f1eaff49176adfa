"""Protocols and what a policy's port entry allows (B9, V6, V7)."""

from __future__ import annotations

import enum
from dataclasses import dataclass


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


FIRST_PORT, LAST_PORT = 1, 65535


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
        """
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
