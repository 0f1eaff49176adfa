"""Connections put into the kernel's table without a packet, for tests that read and delete them."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from netpol.dataplane.netlink import CONNTRACK, NESTED, NetlinkSocket, Request, attribute
from netpol.model.networks import Address, Family, family_of
from netpol.model.ports import PROTOCOL_NUMBERS, Protocol

_CREATE = 0x400
_ESTABLISHED = 3
_EXPERIMENTAL = 253


@dataclass(frozen=True, slots=True)
class Entry:
    """A connection to a service's address and port, which `backend` and its port answer.

    `protocol` is None for one that no policy can name.
    """

    protocol: Protocol | None
    client: Address
    service: Address
    backend: Address
    client_port: int = 40000
    service_port: int = 80
    backend_port: int = 8080
    zone: int = 0

    @property
    def has_ports(self) -> bool:
        """True where its packets have ports, as far as netpol is concerned."""
        return self.protocol is not None and self.protocol.has_ports

    @property
    def family(self) -> Family:
        """The family of its addresses."""
        return family_of(self.client)


def establish(*entries: Entry) -> None:
    """The kernel knows these connections, for an hour."""
    with NetlinkSocket() as netlink:
        for entry in entries:
            netlink.call(Request(CONNTRACK, _body(entry), _family(entry), _CREATE))


def _family(entry: Entry) -> int:
    return socket.AF_INET if entry.family is Family.IPV4 else socket.AF_INET6


def _body(entry: Entry) -> bytes:
    original = _tuple(entry, entry.client, entry.service, entry.client_port, entry.service_port, 8)
    reply = _tuple(entry, entry.backend, entry.client, entry.backend_port, entry.client_port, 0)
    body = attribute(NESTED | 1, original) + attribute(NESTED | 2, reply)
    body += attribute(7, (3600).to_bytes(4, "big"))
    if entry.protocol is Protocol.TCP:
        body += attribute(NESTED | 4, attribute(NESTED | 1, attribute(1, bytes([_ESTABLISHED]))))
    if entry.zone:
        body += attribute(18, entry.zone.to_bytes(2, "big"))
    return body


def _tuple(
    entry: Entry, source: Address, destination: Address, source_port: int, destination_port: int, icmp: int
) -> bytes:
    six = entry.family is Family.IPV6
    addresses = attribute(3 if six else 1, source.packed) + attribute(4 if six else 2, destination.packed)
    number = _EXPERIMENTAL if entry.protocol is None else PROTOCOL_NUMBERS[entry.family][entry.protocol]
    transport = attribute(1, bytes([number]))
    if entry.protocol is Protocol.ICMP:
        # Of both tuples the echo's identifier is the same; request and reply have types of their own.
        kinds = {8: 128, 0: 129}[icmp] if six else icmp
        first = 7 if six else 4
        transport += attribute(first, entry.client_port.to_bytes(2, "big"))
        transport += attribute(first + 1, bytes([kinds])) + attribute(first + 2, b"\0")
    elif entry.protocol is not None:
        transport += attribute(2, source_port.to_bytes(2, "big")) + attribute(3, destination_port.to_bytes(2, "big"))
    return attribute(NESTED | 1, addresses) + attribute(NESTED | 2, transport)
