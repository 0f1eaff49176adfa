"""Every packet is in one fold or lost, folds close with their window, and there are never too many."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packets import CLIENT, ICMP, SERVER, TCP, UDP, continuing, ipv4, ipv6, ports

from netpol.audit.capture.folding import FOLDS_PER_SECOND, Fold, Folding
from netpol.audit.capture.frames import Frame
from netpol.audit.capture.losses import Loss
from netpol.audit.capture.packet import Packet
from netpol.model.moments import SECOND, Moment

START = 1_700_000_000 * SECOND
WINDOW = 5 * SECOND
PREFIX = b"1:NETPOL-INVALID"


def frame(packet: bytes, at: float = 0.0, prefix: bytes = PREFIX) -> Frame:
    return Frame(prefix, moment(at), packet, None)


def moment(seconds: float) -> Moment:
    return START + round(seconds * SECOND)


def to_port(port: int, source_port: int = 40000) -> bytes:
    return ipv4(TCP, ports(source_port, port))


def test_packets_alike_but_for_their_source_port_are_one_fold_described_by_its_first() -> None:
    folding = Folding(WINDOW)
    folding.add([frame(to_port(80, 40000 + number), number / 1000) for number in range(100)], 0)
    assert folding.flush() == [Fold(PREFIX.decode(), Packet(CLIENT, SERVER, TCP, 40000, 80), 100, START, moment(0.099))]
    assert folding.flush() == []


def test_what_distinguishes_packets() -> None:
    different = [
        frame(to_port(80)),
        frame(to_port(81)),
        frame(ipv4(UDP, ports(40000, 80))),
        frame(ipv4(TCP, ports(40000, 80), source=IPv4Address("10.0.0.9"))),
        frame(ipv4(TCP, ports(40000, 80), destination=IPv4Address("10.0.0.9"))),
        frame(ipv4(TCP, continuing(40000, 80))),
        frame(ipv4(TCP, ports(40000, 80), fragment=80)),
        frame(ipv6(TCP, ports(40000, 80))),
        frame(ipv4(ICMP, b"\x08")),
        frame(ipv4(ICMP, b"\x0d")),
        frame(to_port(80), prefix=b"1:NETPOL-UNKNOWN"),
    ]
    folding = Folding(WINDOW)
    folding.add(different * 3, 0)
    assert [fold.count for fold in folding.flush()] == [3] * len(different)


def test_a_fold_is_due_when_its_window_has_passed_and_not_before() -> None:
    folding = Folding(WINDOW)
    folding.add([frame(to_port(80), 0.0)], 0)
    folding.add([frame(to_port(81), 1.0), frame(to_port(80), 4.9)], 4.9)
    assert folding.due(moment(4.999)) == []
    (first,) = folding.due(moment(5))
    assert (first.packet.destination_port, first.count, first.last) == (80, 2, moment(4.9))
    (second,) = folding.due(moment(6))
    assert second.packet.destination_port == 81
    assert folding.due(moment(60)) == []


def test_a_packet_read_late_begins_a_fold_of_its_own() -> None:
    folding = Folding(WINDOW)
    folding.add([frame(to_port(80), 0.0), frame(to_port(80), 5.0)], 5.1)
    assert [fold.first for fold in folding.due(moment(5.1))] == [START]
    assert [fold.first for fold in folding.flush()] == [moment(5)]


def test_an_address_that_others_may_have_parts_packets_before_from_packets_after() -> None:
    folding = Folding(WINDOW)
    folding.add([frame(to_port(port), 0.1) for port in (80, 80)], 0)
    folding.add([frame(ipv6(TCP, ports(40000, 80)))], 0)
    folding.part({SERVER})
    folding.add([frame(to_port(80), 1), frame(ipv6(TCP, ports(40000, 80)))], 0)
    assert [(fold.count, fold.first) for fold in folding.due(moment(1))] == [(2, moment(0.1))]
    assert sorted(fold.count for fold in folding.flush()) == [1, 2]


def test_a_packet_logged_out_of_order_does_not_turn_time_back() -> None:
    folding = Folding(WINDOW)
    folding.add([frame(to_port(80), at) for at in (1.0, 1.5, 1.2, 0.9)], 2)
    (fold,) = folding.flush()
    assert (fold.count, fold.first, fold.last) == (4, moment(1), moment(1.5))


def test_a_clock_set_back_keeps_no_fold_for_hours() -> None:
    folding = Folding(WINDOW)
    folding.add([frame(to_port(80), 3600.0)], 0)
    folding.add([frame(to_port(81), 0.0)], 1)
    assert [fold.packet.destination_port for fold in folding.due(START)] == [80]
    assert [fold.packet.destination_port for fold in folding.due(moment(5))] == [81]


def test_without_room_what_is_new_is_lost_and_what_is_known_is_counted() -> None:
    folding = Folding(WINDOW, most_folds=4)
    folding.add([frame(to_port(port)) for port in (1, 2, 3, 1, 3, 2)], 0)
    assert folding.take_lost() == {Loss.TABLE: 2}
    assert folding.take_lost() == {}
    assert [fold.count for fold in folding.due(moment(5))] == [2, 2]
    folding.add([frame(to_port(3), 5)], 5)
    assert [fold.count for fold in folding.flush()] == [1]


def test_folds_that_wait_to_be_given_out_take_room_too() -> None:
    folding = Folding(WINDOW, most_folds=4)
    folding.add([frame(to_port(80), at) for at in (0, 5, 10, 15)], 15)
    assert folding.take_lost() == {Loss.TABLE: 2}
    assert [fold.first for fold in folding.flush()] == [START, moment(5)]


def test_a_scan_leaves_room_for_what_other_rules_log() -> None:
    folding = Folding(WINDOW, most_folds=100)
    folding.add([frame(to_port(port)) for port in range(1000)], 0)
    assert folding.take_lost() == {Loss.TABLE: 950}
    folding.add([frame(to_port(port), prefix=b"1:NETPOL-UNKNOWN") for port in range(1000)], 0)
    assert folding.take_lost() == {Loss.TABLE: 975}
    folding.add([frame(to_port(80), prefix=b"1:NETPOL-CUT")], 0)
    assert folding.take_lost() == {}
    assert len(folding.flush()) == 76


def test_room_comes_back_to_the_rule_that_held_it() -> None:
    folding = Folding(WINDOW, most_folds=4)
    for at in (0, 5, 10):
        folding.add([frame(to_port(port), at) for port in range(2)], at)
        assert folding.take_lost() == {}
        assert len(folding.due(moment(at + 5))) == 2
    folding.add([frame(to_port(port), 20) for port in range(2)], 20)
    assert len(folding.flush()) == 2
    folding.add([frame(to_port(port), 20) for port in range(2)], 20)
    assert folding.take_lost() == {}


def test_no_more_folds_begin_in_a_second_than_may() -> None:
    folding = Folding(WINDOW, folds_per_second=10)
    folding.add([frame(to_port(port)) for port in range(15)], 7000)
    folding.add([frame(to_port(port), 0.5) for port in range(100, 115)], 7000.5)
    assert folding.take_lost() == {Loss.RATE: 10 + 12}
    assert len(folding.flush()) == 5 + 3
    folding.add([frame(to_port(port), prefix=b"1:NETPOL-CUT") for port in range(15)], 7000.5)
    assert len(folding.flush()) == 4, "another rule has its own share of what is left"


def test_a_clock_set_back_takes_no_fold_from_those_that_may_begin() -> None:
    folding = Folding(WINDOW)
    begun = 0
    for second, stamped in enumerate((0.0, 1.0, -3600.0, -3599.0)):
        folding.add([frame(to_port(port), stamped) for port in range(int(FOLDS_PER_SECOND / 4))], second)
        begun += len(folding.flush())
    assert folding.take_lost() == {}
    assert begun == FOLDS_PER_SECOND


def test_what_is_no_ip_packet_is_lost() -> None:
    folding = Folding(WINDOW)
    folding.add([frame(b"\0\1\x08\0"), frame(b""), frame(to_port(80))], 0)
    assert folding.take_lost() == {Loss.UNREADABLE: 2}
    assert len(folding.flush()) == 1


def test_a_prefix_that_is_no_text_is_told_as_it_can_be() -> None:
    folding = Folding(WINDOW)
    folding.add([frame(to_port(80), prefix=b"caf\xe9")], 0)
    assert folding.flush()[0].prefix == r"caf\xe9"


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.1, 2.0, 5.0, -1.0]), st.lists(st.integers(0, 6), max_size=8)), max_size=20
    ),
    st.integers(1, 5),
    st.sampled_from([1.0, 3.0, 1000.0]),
)
def test_every_packet_is_counted_once_within_bounds(
    bursts: list[tuple[float, list[int]]], most_folds: int, folds_per_second: float
) -> None:
    folding, folds = Folding(WINDOW, most_folds, folds_per_second), list[Fold]()
    at, seconds, lost = 0.0, 0.0, 0
    for pause, burst in bursts:
        at, seconds = at + pause, seconds + abs(pause)
        folding.add([frame(to_port(port) if port else b"", at) for port in burst], seconds)
        given_out = folding.due(moment(at))
        assert len(given_out) <= most_folds
        folds += given_out
        lost += sum(folding.take_lost().values())
    folds += folding.flush()
    assert sum(fold.count for fold in folds) + lost == sum(len(burst) for _, burst in bursts)
    assert all(fold.first <= fold.last < fold.first + WINDOW for fold in folds)


@pytest.mark.parametrize("count", [1, 3])
def test_a_window_of_nothing_gives_out_each_packet_alone(count: int) -> None:
    folding = Folding(0)
    folding.add([frame(to_port(80))] * count, 0)
    assert [fold.count for fold in folding.due(START)] == [1] * count
