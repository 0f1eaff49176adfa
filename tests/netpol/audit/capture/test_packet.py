"""Packets are decoded as far as they go, and told apart by all but their source port."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packets import (
    CLIENT,
    CLIENT6,
    DCCP,
    ICMP,
    ICMPV6,
    SCTP,
    SERVER,
    SERVER6,
    TCP,
    UDP,
    UDP_LITE,
    continuing,
    ipv4,
    ipv6,
    ports,
)

from netpol.audit.capture.packet import HEADER_BYTES, Packet, decode_packet, distinction
from netpol.model.networks import Address

HOP_BY_HOP, ROUTING, FRAGMENT, ESP, AUTHENTICATION, NOTHING, OPTIONS = 0, 43, 44, 50, 51, 59, 60
EIGHT_BYTES, SIXTEEN_BYTES = b"\0" + bytes(6), b"\1" + bytes(14)
"""Extension headers behind their first byte: their length without the first eight, and their content."""
FIRST_FRAGMENT, LATER_FRAGMENT = bytes([0, 0, 1]) + bytes(4), bytes([0, 0x05, 0xA8]) + bytes(4)
PORTED = [TCP, UDP, SCTP, UDP_LITE, DCCP]


@pytest.mark.parametrize("protocol", PORTED)
def test_protocols_with_ports(protocol: int) -> None:
    assert decode_packet(ipv4(protocol, ports(40000, 80))) == Packet(CLIENT, SERVER, protocol, 40000, 80)
    assert decode_packet(ipv6(protocol, ports(40000, 80))) == Packet(CLIENT6, SERVER6, protocol, 40000, 80)


@pytest.mark.parametrize("protocol", PORTED)
def test_what_continues_a_connection_is_told_by_its_header(protocol: int) -> None:
    """G11."""
    opens = protocol not in (TCP, SCTP)
    for packet in (ipv4(protocol, continuing(40000, 80)), ipv6(protocol, continuing(40000, 80))):
        decoded = decode_packet(packet)
        assert decoded is not None
        assert decoded.opens is opens
        assert (distinction(packet) == distinction(packet.replace(continuing(0, 0)[4:], ports(0, 0)[4:]))) is opens
    for options in (b"", b"\x94\4\0\0"):
        decoded = decode_packet(ipv4(protocol, continuing(40000, 80), options=options))
        assert decoded is not None
        assert decoded.opens is opens


@pytest.mark.parametrize(
    ("flags", "opens"), [(0x02, True), (0xC2, True), (0x12, False), (0x10, False), (0x04, False), (0x03, False)]
)
def test_of_tcp_only_a_syn_alone_opens(flags: int, opens: bool) -> None:
    header = bytearray(ports(40000, 80))
    header[13] = flags
    decoded = decode_packet(ipv4(TCP, bytes(header)))
    assert decoded is not None
    assert decoded.opens is opens


def test_icmp_has_a_type_and_no_ports() -> None:
    assert decode_packet(ipv4(ICMP, b"\x08\0\xff\xff")) == Packet(CLIENT, SERVER, ICMP, icmp_type=8)
    assert decode_packet(ipv6(ICMPV6, b"\x80\0\xff\xff")) == Packet(CLIENT6, SERVER6, ICMPV6, icmp_type=128)


@pytest.mark.parametrize(("protocol", "packet"), [(ICMPV6, ipv4), (ICMP, ipv6), (47, ipv4), (ESP, ipv6), (47, ipv6)])
def test_a_protocol_without_ports_or_of_the_other_family_has_neither(protocol: int, packet: type) -> None:
    decoded = decode_packet(packet(protocol, b"\x08\0\xff\xff\xff\xff\xff\xff"))
    assert isinstance(decoded, Packet)
    assert decoded[2:] == (protocol, None, None, None, True)


def test_ipv4_options_come_before_the_ports() -> None:
    assert decode_packet(ipv4(TCP, ports(40000, 80), options=b"\x94\4\0\0" * 10)) == Packet(
        CLIENT, SERVER, TCP, 40000, 80
    )


def test_a_later_fragment_has_no_ports() -> None:
    for before in (8, 1480, 8 * 256):
        assert decode_packet(ipv4(UDP, ports(40000, 80), fragment=before)) == Packet(CLIENT, SERVER, UDP)
    later = ipv6(UDP, ports(40000, 80), extensions=((FRAGMENT, LATER_FRAGMENT),))
    assert decode_packet(later) == Packet(CLIENT6, SERVER6, UDP)


@pytest.mark.parametrize(
    "extensions",
    [
        ((HOP_BY_HOP, EIGHT_BYTES),),
        ((ROUTING, SIXTEEN_BYTES),),
        ((OPTIONS, SIXTEEN_BYTES),),
        ((AUTHENTICATION, b"\4" + bytes(22)),),
        ((FRAGMENT, FIRST_FRAGMENT),),
        ((HOP_BY_HOP, EIGHT_BYTES), (ROUTING, SIXTEEN_BYTES), (FRAGMENT, FIRST_FRAGMENT), (OPTIONS, EIGHT_BYTES)),
    ],
)
def test_extension_headers_are_passed(extensions: tuple[tuple[int, bytes], ...]) -> None:
    assert decode_packet(ipv6(TCP, ports(40000, 80), extensions)) == Packet(CLIENT6, SERVER6, TCP, 40000, 80)


def test_nothing_may_follow() -> None:
    assert decode_packet(ipv6(NOTHING, b"\xff" * 8)) == Packet(CLIENT6, SERVER6, NOTHING)


def test_extension_headers_without_end_are_not_followed_for_ever() -> None:
    packet = ipv6(TCP, ports(40000, 80), ((OPTIONS, EIGHT_BYTES),) * 4000)
    assert decode_packet(packet) == Packet(CLIENT6, SERVER6, OPTIONS)


WHOLE = [
    (ipv4(TCP, ports(40000, 80)), (20, 22, 24), Packet(CLIENT, SERVER, TCP, 40000, 80)),
    (ipv6(UDP, ports(40000, 80)), (40, 42, 44), Packet(CLIENT6, SERVER6, UDP, 40000, 80)),
    (
        ipv6(UDP, ports(40000, 80), ((OPTIONS, SIXTEEN_BYTES),)),
        (56, 58, 60),
        Packet(CLIENT6, SERVER6, UDP, 40000, 80),
    ),
]


@pytest.mark.parametrize(("packet", "ends", "whole"), WHOLE)
def test_of_a_packet_cut_short_is_told_what_was_copied(
    packet: bytes, ends: tuple[int, int, int], whole: Packet
) -> None:
    start, source, both = ends
    assert decode_packet(packet[:both]) == whole
    for cut in range(source, both):
        assert decode_packet(packet[:cut]) == whole._replace(destination_port=None)
    for cut in range(start, source):
        assert decode_packet(packet[:cut]) == whole._replace(source_port=None, destination_port=None)


def test_an_icmp_type_that_was_not_copied_is_not_known() -> None:
    assert decode_packet(ipv4(ICMP)) == Packet(CLIENT, SERVER, ICMP)


@pytest.mark.parametrize("number", [HOP_BY_HOP, FRAGMENT])
def test_the_protocol_of_a_chain_cut_short_is_its_last_known_header(number: int) -> None:
    packet = ipv6(TCP, ports(40000, 80), ((number, FIRST_FRAGMENT),))
    assert decode_packet(packet[:41]) == Packet(CLIENT6, SERVER6, number)


@pytest.mark.parametrize("packet", [b"", b"\x45" + bytes(18), b"\x60" + bytes(38), b"\x55" + bytes(63), bytes(64)])
def test_without_addresses_nothing_is_known(packet: bytes) -> None:
    assert decode_packet(packet) is None
    assert distinction(packet) is None


def test_a_header_shorter_than_its_own_fields_leads_to_no_ports() -> None:
    assert decode_packet(b"\x42" + ipv4(TCP, ports(40000, 80))[1:]) == Packet(CLIENT, SERVER, TCP)


addresses: st.SearchStrategy[Address] = st.sampled_from([CLIENT, SERVER])
numbers = st.sampled_from([0, 80, 0x5000])
payloads = st.builds(ports, numbers, numbers) | st.binary(max_size=6)
packets = st.builds(
    ipv4,
    st.sampled_from([*PORTED, ICMP, ICMPV6, 47]),
    payloads,
    addresses,
    addresses,
    st.sampled_from([b"", b"\1" * 4]),
    st.sampled_from([0, 8, 2048]),
) | st.builds(
    ipv6,
    st.sampled_from([*PORTED, ICMP, ICMPV6, NOTHING]),
    payloads,
    st.sampled_from([(), ((OPTIONS, EIGHT_BYTES),), ((FRAGMENT, FIRST_FRAGMENT),), ((FRAGMENT, LATER_FRAGMENT),)]),
    st.sampled_from([CLIENT6, SERVER6]),
)


@given(st.lists(packets, min_size=2, max_size=6))
def test_packets_are_told_apart_by_what_is_decoded_of_them_but_the_source_port(some: list[bytes]) -> None:
    for one in some:
        for other in some:
            first, second = decode_packet(one), decode_packet(other)
            assert first is not None
            assert second is not None
            are_alike = first._replace(source_port=None) == second._replace(source_port=None)
            assert (distinction(one) == distinction(other)) == are_alike


@given(st.binary(max_size=HEADER_BYTES) | packets.flatmap(lambda each: st.integers(0, 64).map(lambda cut: each[:cut])))
@example(b"\x6f" + bytes(5) + b"\x3c" + bytes(60))
def test_whatever_the_bytes_there_is_an_answer_and_packets_without_addresses_have_none(packet: bytes) -> None:
    decoded = decode_packet(packet)
    assert (decoded is None) == (distinction(packet) is None)
    if decoded is not None:
        assert 0 <= decoded.protocol <= 255
        assert decoded.icmp_type is None or decoded.destination_port is None
