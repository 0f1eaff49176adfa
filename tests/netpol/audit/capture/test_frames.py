"""NFLOG's messages are read in order, each with what the kernel said of it, and nothing makes the reader stumble."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packets import TCP, ipv4, ipv6, logged, message, ports

from netpol.audit.capture.frames import PACKET_MESSAGE, Frame, decode_frames
from netpol.dataplane.netlink import NFLOG, attribute

NOW, THEN = 1_700_000_000_000_005, 1_600_000_000_999_999
PACKET = ipv4(TCP, ports(40000, 80))
DONE = message(3, bytes(4))


def test_a_frame_has_the_prefix_the_moment_the_packet_and_the_number() -> None:
    datagram = logged(PACKET, "1:NETPOL-INVALID", THEN, 7)
    assert decode_frames(datagram, NOW) == [Frame(b"1:NETPOL-INVALID", THEN, PACKET, 7)]


def test_a_packet_that_the_kernel_does_not_stamp_is_of_now() -> None:
    (frame,) = decode_frames(logged(PACKET, sequence=7), NOW)
    assert frame.moment == NOW


def test_packets_may_be_unnumbered_and_rules_without_a_prefix() -> None:
    assert decode_frames(logged(PACKET, ""), NOW) == [Frame(b"", NOW, PACKET, None)]
    bare = message(PACKET_MESSAGE, bytes(4) + attribute(9, PACKET))
    assert decode_frames(bare, NOW) == [Frame(b"", NOW, PACKET, None)]


def test_a_batch_is_in_order_and_its_end_is_no_frame() -> None:
    packets = [PACKET, ipv6(TCP, ports(1, 2)), PACKET[:21], b""]
    batch = b"".join(logged(packet, moment=THEN, sequence=number) for number, packet in enumerate(packets))
    frames = decode_frames(batch + DONE, NOW)
    assert [frame.packet for frame in frames] == packets
    assert [frame.sequence for frame in frames] == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", [2, 3, NFLOG | 1, (1 << 8)])
def test_other_messages_are_passed_over(kind: int) -> None:
    other = message(kind, bytes(4) + attribute(9, b"no packet"))
    assert [frame.packet for frame in decode_frames(other + logged(PACKET) + other, NOW)] == [PACKET]


def test_the_message_is_netfilters() -> None:
    assert PACKET_MESSAGE == NFLOG


def test_a_length_that_leads_nowhere_ends_the_reading() -> None:
    whole = logged(PACKET, sequence=0)
    assert decode_frames(whole + struct.pack("=IHHII", 0, PACKET_MESSAGE, 0, 0, 0) + whole, NOW)[1:] == []
    stuck = message(PACKET_MESSAGE, bytes(4) + attribute(10, b"p\0") + struct.pack("=HH", 0, 9) + bytes(8))
    assert decode_frames(stuck, NOW) == [Frame(b"p", NOW, b"", None)]


@given(st.binary(max_size=80), st.integers(0, 200), st.integers(0, 200))
def test_nonsense_never_raises(noise: bytes, start: int, length: int) -> None:
    datagram = logged(PACKET, moment=THEN, sequence=1) + DONE
    cut = datagram[:start] + noise + datagram[start + length :]
    for frame in decode_frames(cut, NOW):
        assert isinstance(frame.packet, bytes)
