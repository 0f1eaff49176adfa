"""What is known of a logged packet, by its headers as far as they were copied.

Packets are what the network sent, and may be cut short or nonsense: what can be known of
one is told, and nothing here raises.
"""

from __future__ import annotations

from collections.abc import Hashable
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from netpol.model.networks import Address, Family
from netpol.model.ports import NUMBERS_WITH_PORTS, PROTOCOL_NUMBERS, Protocol

HEADER_BYTES = 128
"""Of each packet that many are wanted: IPv6's forty and the ports leave room for 84 of extension headers."""

_ICMP = {family: numbers[Protocol.ICMP] for family, numbers in PROTOCOL_NUMBERS.items()}
_TCP, _SCTP = NUMBERS_WITH_PORTS[Protocol.TCP], NUMBERS_WITH_PORTS[Protocol.SCTP]
_DCCP, _UDP_LITE = 33, 136
_SYN, _OPENING_FLAGS = 0x02, 0x17
"""TCP's flags: of FIN, SYN, RST and ACK an opening has SYN alone."""
_INIT = 1
"""The first chunk's type in a packet that opens an association of SCTP."""
_WITH_PORTS = frozenset({*NUMBERS_WITH_PORTS.values(), _DCCP, _UDP_LITE})
"""They all begin with the source port and the destination port."""

_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION_OPTIONS = 0, 43, 44, 51, 60
_LENGTH_UNITS = {_HOP_BY_HOP: (8, 1), _ROUTING: (8, 1), _DESTINATION_OPTIONS: (8, 1), _AUTHENTICATION: (4, 2)}
"""What an extension header's second byte counts, and how many of these it leaves out."""
_MOST_EXTENSIONS = 16

_IPV4_BYTES, _IPV6_BYTES = 20, 40
_PLAIN_IPV4 = 0x45
"""The first byte of an IPv4 header without options."""


class Packet(NamedTuple):
    """The fields that policies look at; ports are None for protocols that have none, `icmp_type` for all but ICMP.

    `protocol` is the number of the innermost header that was found: 6 is TCP, 58 is ICMPv6. `opens` is False for
    what continues a connection by its header: TCP but for a SYN alone, SCTP but for an INIT (G11).
    """

    source: Address
    destination: Address
    protocol: int
    source_port: int | None = None
    destination_port: int | None = None
    icmp_type: int | None = None
    opens: bool = True


def decode_packet(packet: bytes) -> Packet | None:
    """What is known of the packet; None where it is not even known between which addresses it went.

    Of fragments only the first has ports, and what was not copied is not known.
    """
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= _IPV4_BYTES:
        protocol, payload = _behind_ipv4(packet)
        return Packet(
            IPv4Address(packet[12:16]),
            IPv4Address(packet[16:20]),
            protocol,
            *_opening(packet, protocol, payload, _ICMP[Family.IPV4]),
            payload is None or _opens(packet, protocol, payload),
        )
    if version == 6 and len(packet) >= _IPV6_BYTES:
        protocol, payload = _behind_ipv6(packet)
        return Packet(
            IPv6Address(packet[8:24]),
            IPv6Address(packet[24:40]),
            protocol,
            *_opening(packet, protocol, payload, _ICMP[Family.IPV6]),
            payload is None or _opens(packet, protocol, payload),
        )
    return None


def distinction(packet: bytes) -> Hashable:
    """What is equal for packets that are alike in all but their source port, and for no others.

    It is taken of every packet that is logged, so what most of them are is read without
    decoding them; None where `decode_packet` has None.
    """
    if len(packet) > 23 and packet[0] == _PLAIN_IPV4:
        protocol = packet[9]
        if protocol in _WITH_PORTS and not packet[7] and not packet[6] & 0x1F:
            return packet[12:20], protocol, packet[22:24], _opens(packet, protocol, _IPV4_BYTES)
    elif len(packet) > 43 and packet[0] >> 4 == 6 and packet[6] in _WITH_PORTS:
        return packet[8:40], packet[6], packet[42:44], _opens(packet, packet[6], _IPV6_BYTES)
    decoded = decode_packet(packet)
    if decoded is None:
        return None
    ends = packet[12:20] if decoded.source.version == 4 else packet[8:40]
    if decoded.destination_port is not None:
        return ends, decoded.protocol, decoded.destination_port.to_bytes(2, "big"), decoded.opens
    return ends, decoded.protocol, decoded.icmp_type


def _opening(packet: bytes, protocol: int, start: int | None, icmp: int) -> tuple[int | None, int | None, int | None]:
    """The source port, the destination port and the ICMP type that stand at the start of the payload."""
    if start is None:
        return None, None, None
    if protocol in _WITH_PORTS:
        return _number(packet, start), _number(packet, start + 2), None
    return None, None, packet[start] if protocol == icmp and start < len(packet) else None


def _opens(packet: bytes, protocol: int, start: int) -> bool:
    """False where the header at this place is of what continues a connection; True where that is not known."""
    if protocol == _TCP:
        return len(packet) <= start + 13 or packet[start + 13] & _OPENING_FLAGS == _SYN
    if protocol == _SCTP:
        return len(packet) <= start + 12 or packet[start + 12] == _INIT
    return True


def _number(packet: bytes, start: int) -> int | None:
    both = packet[start : start + 2]
    return int.from_bytes(both, "big") if len(both) == 2 else None


def _behind_ipv4(packet: bytes) -> tuple[int, int | None]:
    """The protocol, and where its header starts; None where this fragment or header has no such place."""
    header = (packet[0] & 0x0F) * 4
    is_later = packet[7] or packet[6] & 0x1F
    return packet[9], None if is_later or header < _IPV4_BYTES else header


def _behind_ipv6(packet: bytes) -> tuple[int, int | None]:
    """The protocol behind the extension headers, and where its header starts; the last known where they are cut."""
    protocol, start = packet[6], _IPV6_BYTES
    for _ in range(_MOST_EXTENSIONS):
        if protocol == _FRAGMENT:
            if start + 8 > len(packet):
                return protocol, None
            protocol, is_later = packet[start], packet[start + 2] or packet[start + 3] & 0xF8
            if is_later:
                return protocol, None
            start += 8
        elif protocol in _LENGTH_UNITS:
            if start + 2 > len(packet):
                return protocol, None
            unit, omitted = _LENGTH_UNITS[protocol]
            protocol, start = packet[start], start + (packet[start + 1] + omitted) * unit
        else:
            return protocol, start
    return protocol, None
