"""SCTP packets: what is written can be read, and what is not ours is nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.lab.sctp import Chunk, Packet, crc32c, decode

ports = st.integers(0, 65535)
tags = st.integers(0, 0xFFFFFFFF)


@given(
    st.builds(Packet, ports, ports, st.sampled_from([Chunk.INIT, Chunk.INIT_ACK]), tags, tags, st.binary(max_size=80))
)
def test_what_is_written_can_be_read(packet: Packet) -> None:
    text = packet.encode()
    assert decode(text) == packet
    assert len(text) % 4 == 0


def test_an_abort_carries_nothing_of_its_own() -> None:
    assert decode(Packet(1, 2, Chunk.ABORT, 7).encode()) == Packet(1, 2, Chunk.ABORT, 7)


def test_the_checksum_is_that_of_the_packet_with_none_in_it() -> None:
    text = Packet(9, 132, Chunk.INIT, own_tag=5).encode()
    assert int.from_bytes(text[8:12], "little") == crc32c(text[:8] + bytes(4) + text[12:])
    assert crc32c(b"") == 0
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4


@pytest.mark.parametrize(
    "text",
    [b"", bytes(15), Packet(1, 2, Chunk.INIT).encode()[:20], bytes(12) + b"\x00\x00\x00\x10" + bytes(12)],
    ids=["empty", "no chunk", "cut off", "data"],
)
def test_other_bytes_are_no_packet_of_ours(text: bytes) -> None:
    assert decode(text) is None


@given(st.binary(max_size=60))
def test_no_bytes_break_the_decoder(text: bytes) -> None:
    packet = decode(text)
    assert packet is None or isinstance(packet, Packet)


def test_an_unknown_parameter_is_no_cookie() -> None:
    text = bytearray(Packet(1, 2, Chunk.INIT_ACK, cookie=b"name").encode())
    text[33] = 9  # the type of the parameter behind the chunk's fixed part
    assert decode(bytes(text)) == Packet(1, 2, Chunk.INIT_ACK)
