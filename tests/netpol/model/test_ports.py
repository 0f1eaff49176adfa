from __future__ import annotations

import pytest
from builders import port

from netpol.model.ports import ALL_PORTS, FIRST_PORT, LAST_PORT, NamedPort, NumericPorts, PortRange, Protocol


@pytest.mark.parametrize(("number", "inside"), [(7999, False), (8000, True), (8001, True), (8002, False)])
def test_v6_both_ends_of_a_range_belong_to_it(number: int, inside: bool) -> None:
    assert (number in PortRange(8000, 8001)) is inside


def test_all_ports_hold_every_port() -> None:
    assert FIRST_PORT in ALL_PORTS
    assert LAST_PORT in ALL_PORTS


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
