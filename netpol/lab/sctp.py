"""The few SCTP packets that open an association, as bytes (RFC 9260), for kernels without SCTP sockets."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

COMMON_HEADER = struct.Struct("!HHI")
CHUNK_HEADER = struct.Struct("!BBH")
INIT_BODY = struct.Struct("!IIHHI")
STATE_COOKIE = 7
RECEIVER_WINDOW = 65536
CASTAGNOLI = 0x82F63B78


class Chunk(enum.Enum):
    """What a packet's only chunk asks or answers; the values are the chunk types."""

    INIT = 1
    INIT_ACK = 2
    ABORT = 6


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet with one chunk; `cookie` is what an INIT_ACK carries as its state cookie.

    `tag` is the verification tag of the header, `own_tag` the one an INIT or INIT_ACK tells the other side to use.
    """

    source_port: int
    port: int
    chunk: Chunk
    tag: int = 0
    own_tag: int = 0
    cookie: bytes = b""

    def encode(self) -> bytes:
        """The packet after its IP header.

        Connection tracking drops a packet whose checksum is wrong, so it is not left out.
        """
        body = b"" if self.chunk is Chunk.ABORT else INIT_BODY.pack(self.own_tag, RECEIVER_WINDOW, 1, 1, self.own_tag)
        if self.cookie:
            body += struct.pack("!HH", STATE_COOKIE, 4 + len(self.cookie)) + self.cookie
        chunk = CHUNK_HEADER.pack(self.chunk.value, 0, CHUNK_HEADER.size + len(body)) + body
        chunk += bytes(-len(chunk) % 4)
        header = COMMON_HEADER.pack(self.source_port, self.port, self.tag)
        checksum = crc32c(header + bytes(4) + chunk)
        return header + struct.pack("<I", checksum) + chunk


def decode(text: bytes) -> Packet | None:
    """The packet in `text`, without its IP header; None where it is none of those that this file writes."""
    start = COMMON_HEADER.size + 4
    if len(text) < start + CHUNK_HEADER.size:
        return None
    source_port, port, tag = COMMON_HEADER.unpack_from(text)
    kind, _, length = CHUNK_HEADER.unpack_from(text, start)
    body = text[start + CHUNK_HEADER.size : start + length]
    if kind == Chunk.ABORT.value:
        return Packet(source_port, port, Chunk.ABORT, tag)
    if kind not in {Chunk.INIT.value, Chunk.INIT_ACK.value} or len(body) < INIT_BODY.size:
        return None
    own_tag = INIT_BODY.unpack_from(body)[0]
    return Packet(source_port, port, Chunk(kind), tag, own_tag, _cookie(body[INIT_BODY.size :]))


def _cookie(parameter: bytes) -> bytes:
    if len(parameter) < 4:
        return b""
    kind, length = struct.unpack_from("!HH", parameter)
    return parameter[4:length] if kind == STATE_COOKIE else b""


def crc32c(text: bytes) -> int:
    """The CRC-32C of `text`.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    remainder = 0xFFFFFFFF
    for byte in text:
        remainder = (remainder >> 8) ^ _CRC_TABLE[(remainder ^ byte) & 0xFF]
    return remainder ^ 0xFFFFFFFF


def _crc_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (CASTAGNOLI if byte & 1 else 0)
    return byte


_CRC_TABLE = tuple(_crc_of_byte(byte) for byte in range(256))
