from __future__ import annotations

import re

import pytest
from builders import port

from netpol.model.networks import Family
from netpol.model.ports import (
    ALL_PORTS,
    FIRST_PORT,
    LAST_PORT,
    NUMBERS_WITH_PORTS,
    PROTOCOL_NUMBERS,
    PROTOCOLS_BY_NUMBER,
    NamedPort,
    NumericPorts,
    PortRange,
    Protocol,
    ProtocolPort,
)


@pytest.mark.parametrize(("number", "inside"), [(7999, False), (8000, True), (8001, True), (8002, False)])
def test_v6_both_ends_of_a_range_belong_to_it(number: int, inside: bool) -> None:
    assert (number in PortRange(8000, 8001)) is inside


def test_all_ports_hold_every_port() -> None:
    assert FIRST_PORT in ALL_PORTS
    assert LAST_PORT in ALL_PORTS


@pytest.mark.parametrize(("family", "icmp"), [(Family.IPV4, 1), (Family.IPV6, 58)])
def test_g10_each_family_has_an_icmp_of_its_own(family: Family, icmp: int) -> None:
    ported = {6: Protocol.TCP, 17: Protocol.UDP, 132: Protocol.SCTP}
    assert PROTOCOLS_BY_NUMBER[family] == {**ported, icmp: Protocol.ICMP}


def test_a_number_stands_for_every_protocol_in_both_families() -> None:
    assert all(set(numbers) == set(Protocol) for numbers in PROTOCOL_NUMBERS.values())
    assert {protocol for protocol in Protocol if protocol.has_ports} == set(NUMBERS_WITH_PORTS)


def test_g10_icmp_has_no_ports() -> None:
    assert [protocol for protocol in Protocol if not protocol.has_ports] == [Protocol.ICMP]


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (NumericPorts(Protocol.TCP, PortRange(80, 80)), "80/TCP"),
        (NumericPorts(Protocol.SCTP, PortRange(8000, 8100)), "8000-8100/SCTP"),
        (NumericPorts(Protocol.UDP, ALL_PORTS), "every port/UDP"),
        (NamedPort(Protocol.UDP, "dns"), "dns/UDP"),
    ],
)
def test_entries_in_words(entry: NumericPorts | NamedPort, text: str) -> None:
    assert str(entry) == text


def test_ranges_are_ordered_by_their_first_port() -> None:
    assert sorted([PortRange(90, 91), PortRange(80, 99), PortRange(80, 80)]) == [
        PortRange(80, 80),
        PortRange(80, 99),
        PortRange(90, 91),
    ]
    assert port("80-99/TCP") == NumericPorts(Protocol.TCP, PortRange(80, 99))


@pytest.mark.parametrize(
    ("text", "protocol", "port", "key"),
    [
        ("80/TCP", Protocol.TCP, 80, "80/TCP"),
        ("53/udp", Protocol.UDP, 53, "53/UDP"),
        ("1/Sctp", Protocol.SCTP, 1, "1/SCTP"),
        ("0080/TCP", Protocol.TCP, 80, "80/TCP"),
        ("65535/TCP", Protocol.TCP, 65535, "65535/TCP"),
        ("icmp", Protocol.ICMP, None, "ICMP"),
    ],
)
def test_port_and_protocol(text: str, protocol: Protocol, port: int | None, key: str) -> None:
    assert ProtocolPort.parse(text) == ProtocolPort(protocol, port)
    assert str(ProtocolPort.parse(text)) == key


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("80", "'80' is no PORT/PROTO"),
        ("", "'' is no PORT/PROTO"),
        ("TCP", "'TCP' is no PORT/PROTO"),
        ("/TCP", "'/TCP' is no PORT/PROTO"),
        ("80/", "'80/' is no PORT/PROTO"),
        ("http/TCP", "'http/TCP' is no PORT/PROTO"),
        ("-1/TCP", "'-1/TCP' is no PORT/PROTO"),
        ("80-90/TCP", "'80-90/TCP' is no PORT/PROTO"),
        ("80/TCP/UDP", "'80/TCP/UDP' is no PORT/PROTO"),
        ("80/TCP\n", r"'80/TCP\n' is no PORT/PROTO"),
        ("٨٠/TCP", "'٨٠/TCP' is no PORT/PROTO"),
        ("8/ICMP", "'8/ICMP': the protocols with ports are TCP, UDP, SCTP"),
        ("80/TPC", "'80/TPC': the protocols with ports are TCP, UDP, SCTP"),
        ("0/TCP", "'0/TCP': ports go from 1 to 65535"),
        ("65536/TCP", "'65536/TCP': ports go from 1 to 65535"),
        (f"{'9' * 5000}/TCP", "ports go from 1 to 65535"),
    ],
)
def test_what_is_no_port_and_protocol_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)) as refusal:
        ProtocolPort.parse(text)
    assert "\n" not in str(refusal.value)
