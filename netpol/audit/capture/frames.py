"""NFLOG's messages: which packet met which rule, and when."""

from __future__ import annotations

import struct
from typing import NamedTuple

from netpol.model.moments import SECOND, Moment

PACKET_MESSAGE = 4 << 8
"""The kind of a message that holds a packet: subsystem 4 of netfilter's, command 0."""

_TIMESTAMP, _PAYLOAD, _PREFIX, _SEQUENCE = 3, 9, 10, 12
_MESSAGE_HEAD, _ATTRIBUTE_HEAD = struct.Struct("=IH"), struct.Struct("=HH")
_MESSAGE_HEAD_BYTES, _PREAMBLE_BYTES = 16, 20
_TIME = struct.Struct("!QQ")


class Frame(NamedTuple):
    """A logged packet: the prefix of the rule it met, when, the bytes of it that were copied, and its number.

    The kernel numbers the packets of a group, whether or not they reach the reader, from 0 to
    2^32 - 1 and again from 0; `sequence` is None where it was not asked to.
    """

    prefix: bytes
    moment: Moment
    packet: bytes
    sequence: int | None


def decode_frames(datagram: bytes, now: Moment) -> list[Frame]:
    """The packets of one datagram, in the order in which they were logged; messages of other kinds are passed over.

    `now` is when those happened that the kernel does not stamp: what the node itself sends.
    """
    # One loop without calls: it is run for each packet of a flood.
    frames: list[Frame] = []
    message_head, attribute_head = _MESSAGE_HEAD.unpack_from, _ATTRIBUTE_HEAD.unpack_from
    message, last = 0, len(datagram) - _MESSAGE_HEAD_BYTES
    while message <= last:
        length, kind = message_head(datagram, message)
        if length < _MESSAGE_HEAD_BYTES:
            break
        end = min(message + length, len(datagram))
        offset, message = message + _PREAMBLE_BYTES, message + (length + 3 & ~3)
        if kind != PACKET_MESSAGE:
            continue
        prefix, moment, packet, sequence = b"", now, b"", None
        while offset + 4 <= end:
            size, attribute = attribute_head(datagram, offset)
            if size < 4 or offset + size > end:
                break
            if attribute == _PAYLOAD:
                packet = datagram[offset + 4 : offset + size]
            elif attribute == _PREFIX:
                prefix = datagram[offset + 4 : offset + size - 1]
            elif attribute == _SEQUENCE and size == 8:
                sequence = int.from_bytes(datagram[offset + 4 : offset + 8], "big")
            elif attribute == _TIMESTAMP and size == 20:
                seconds, microseconds = _TIME.unpack_from(datagram, offset + 4)
                moment = seconds * SECOND + microseconds
            offset += size + 3 & ~3
        frames.append(Frame(prefix, moment, packet, sequence))
    return frames
