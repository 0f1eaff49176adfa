"""IP packets and NFLOG's messages, built byte by byte."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

from netpol.audit.capture.frames import PACKET_MESSAGE
from netpol.dataplane.netlink import attribute
from netpol.model.moments import SECOND, Moment

ICMP, TCP, UDP, DCCP, ICMPV6, SCTP, UDP_LITE = 1, 6, 17, 33, 58, 132, 136
CLIENT, SERVER = IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")
CLIENT6, SERVER6 = IPv6Address("fd00::1"), IPv6Address("fd00::2")


def ports(source: int, destination: int) -> bytes:
    """How the header of a protocol with ports begins, and some of what follows: TCP's SYN, SCTP's INIT."""
    return struct.pack("!HH", source, destination) + bytes(8) + b"\x01\x02" + bytes(6)


def continuing(source: int, destination: int) -> bytes:
    """The same of a packet that opens no connection: TCP's ACK, SCTP's DATA."""
    return struct.pack("!HH", source, destination) + bytes(8) + b"\x00\x10" + bytes(6)


def ipv4(
    protocol: int,
    payload: bytes = b"",
    source: IPv4Address = CLIENT,
    destination: IPv4Address = SERVER,
    options: bytes = b"",
    fragment: int = 0,
) -> bytes:
    """An IPv4 packet; `fragment` is how many bytes of the whole come before it, options fill whole words."""
    header = struct.pack(
        "!BBHHHBBH",
        *(0x45 + len(options) // 4, 0, 20 + len(options) + len(payload), 7),
        *(0x4000 if not fragment else fragment // 8, 64, protocol, 0),
    )
    return header + source.packed + destination.packed + options + payload


def ipv6(
    protocol: int,
    payload: bytes = b"",
    extensions: tuple[tuple[int, bytes], ...] = (),
    source: IPv6Address = CLIENT6,
    destination: IPv6Address = SERVER6,
) -> bytes:
    """An IPv6 packet; an extension header is its number, and all of it behind the number of the next."""
    numbers = [*(number for number, _ in extensions), protocol]
    behind = b"".join(bytes([following]) + rest for following, (_, rest) in zip(numbers[1:], extensions, strict=True))
    header = struct.pack("!IHBB", 6 << 28, len(behind) + len(payload), numbers[0], 64)
    return header + source.packed + destination.packed + behind + payload


def logged(
    packet: bytes, prefix: str = "1:NETPOL-INVALID", moment: Moment | None = None, sequence: int | None = None
) -> bytes:
    """NFLOG's message of a packet; without a moment as from OUTPUT, without a sequence number as by default."""
    body = attribute(1, b"\x08\0\3\0") + attribute(10, prefix.encode() + b"\0") + attribute(4, bytes(4))
    body += attribute(8, b"\0\6" + bytes(10)) + attribute(17, bytes(14))
    if moment is not None:
        body += attribute(3, struct.pack("!QQ", *divmod(moment, SECOND)))
    body += attribute(11, bytes(4))
    if sequence is not None:
        body += attribute(12, struct.pack("!I", sequence))
    return message(PACKET_MESSAGE, b"\2\0\0\x64" + body + attribute(9, packet))


def message(kind: int, body: bytes) -> bytes:
    """A netlink message."""
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body
