"""Real packets that rules log are folded and counted to the last one, whatever is lost on the way."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from logging_rules import logged_arriving, refuse_arriving, write_ours

from netpol.audit.capture.collector import Bounds
from netpol.audit.capture.folding import Fold
from netpol.audit.capture.listening import listening
from netpol.audit.capture.losses import Loss
from netpol.audit.capture.packet import Packet
from netpol.audit.clock import wall_clock
from netpol.lab import sctp
from netpol.model.moments import SECOND
from netpol.model.networks import Family

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("private_network")]

PREFIX = "1:NETPOL-PI-A7RH7BDHHEKCCTK3"
HERE, THERE = IPv4Address("127.0.0.1"), IPv4Address("127.0.0.2")
HERE6 = IPv6Address("::1")
ICMP, TCP, UDP, ICMPV6, SCTP, UDP_LITE = 1, 6, 17, 58, 132, 136
SMALL = Bounds(receive_buffer_bytes=1)
"""The kernel takes it for its smallest, of some kilobytes: nearly every batch but the first is lost."""

MANY = 300 * 64
"""Whole batches, so that the last is lost with the others, and no later packet shows it."""

FLOOD = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    for number in range(int(sys.argv[1])):
        sender.sendto(b"", ("127.0.0.2", 1 + number % int(sys.argv[2])))
"""


def flood(packets: int, ports: int = 1) -> None:
    """That many packets of UDP to the ports from 1 on, in turns, as fast as one processor can."""
    subprocess.run([sys.executable, "-c", FLOOD, str(packets), str(ports)], check=True)


def connect(family: Family) -> None:
    kind, address = (socket.AF_INET, THERE) if family is Family.IPV4 else (socket.AF_INET6, HERE6)
    with socket.socket(kind, socket.SOCK_STREAM) as client:
        client.settimeout(0)
        client.connect_ex((str(address), 5432))


def datagrams(kind: int, address: str) -> None:
    for _ in range(3):
        with socket.socket(kind, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", (address, 53))


def raw(protocol: int, body: bytes, times: int, family: Family = Family.IPV4) -> None:
    kind, address = (socket.AF_INET, THERE) if family is Family.IPV4 else (socket.AF_INET6, HERE6)
    with socket.socket(kind, socket.SOCK_RAW, protocol) as sender:
        for _ in range(times):
            sender.sendto(body, (str(address), 0))


INIT = sctp.Packet(40000, 3868, sctp.Chunk.INIT, own_tag=7).encode()
ECHO = b"\x08\0\xf7\xff\0\0\0\0"


@pytest.mark.parametrize(
    ("match", "send", "packet", "packets"),
    [
        ("-p tcp", lambda: connect(Family.IPV4), Packet(HERE, THERE, TCP, 0, 5432), 1),
        ("-p tcp", lambda: connect(Family.IPV6), Packet(HERE6, HERE6, TCP, 0, 5432), 1),
        ("-p udp", lambda: datagrams(socket.AF_INET, str(THERE)), Packet(HERE, THERE, UDP, 0, 53), 3),
        ("-p udp", lambda: datagrams(socket.AF_INET6, str(HERE6)), Packet(HERE6, HERE6, UDP, 0, 53), 3),
        ("-p sctp", lambda: raw(SCTP, INIT, 2), Packet(HERE, THERE, SCTP, 40000, 3868), 2),
        ("-p sctp", lambda: raw(SCTP, INIT, 2, Family.IPV6), Packet(HERE6, HERE6, SCTP, 40000, 3868), 2),
        ("-p icmp", lambda: raw(ICMP, ECHO, 5), Packet(HERE, THERE, ICMP, icmp_type=8), 5),
        (
            "-p icmpv6",
            lambda: raw(ICMPV6, b"\x80" + bytes(7), 5, Family.IPV6),
            Packet(HERE6, HERE6, ICMPV6, icmp_type=128),
            5,
        ),
        ("-p 47", lambda: raw(47, bytes(8), 4), Packet(HERE, THERE, 47), 4),
    ],
)
def test_packets_of_each_protocol_are_one_fold(
    match: str, send: Callable[[], None], packet: Packet, packets: int
) -> None:
    family = Family(packet.destination.version)
    refuse_arriving(f"{match} -d {packet.destination}", PREFIX, family=family)
    with listening(100, 60.0, wall_clock) as collector:
        send()
        harvest = collector.flush()
    assert logged_arriving(family) == packets
    (fold,) = harvest.folds
    assert (fold.prefix, fold.count, harvest.lost) == (PREFIX, packets, {})
    assert fold.packet._replace(source_port=packet.source_port) == packet
    assert bool(fold.packet.source_port) == (packet.source_port is not None)
    assert fold.first <= fold.last < fold.first + 60 * SECOND


def test_folds_are_gathered_when_their_window_has_passed() -> None:
    refuse_arriving("-p udp -d 127.0.0.2", PREFIX)
    with listening(100, 0.3, wall_clock) as collector:
        flood(100, ports=4)
        folds: list[Fold] = []
        for _ in range(50):
            folds += collector.gather(0.1).folds
            if len(folds) >= 4:
                break
        assert [fold.count for fold in folds] == [25] * 4


def test_loss_forced_by_a_tiny_buffer_adds_up_to_the_last_packet() -> None:
    write_ours()
    refuse_arriving("-p udp -d 127.0.0.2", PREFIX)
    with listening(100, 60.0, wall_clock, SMALL) as collector:
        flood(MANY)
        lost = Counter(collector.gather(0.5).lost)
        harvest = collector.flush()
    assert logged_arriving() == MANY
    (fold,) = harvest.folds
    lost.update(harvest.lost)
    assert fold.packet.destination == ip_address("127.0.0.2")
    assert set(lost) == {Loss.KERNEL}
    assert lost[Loss.KERNEL] > 10_000
    assert fold.count + lost[Loss.KERNEL] == MANY


def test_senders_on_every_processor_and_a_reader_meanwhile_add_up_to_the_last_packet() -> None:
    write_ours()
    refuse_arriving("-p udp -d 127.0.0.2", PREFIX)
    counted, lost = 0, Counter[Loss]()
    with listening(100, 0.1, wall_clock, Bounds(receive_buffer_bytes=65_536)) as collector:
        senders = [subprocess.Popen([sys.executable, "-c", FLOOD, str(MANY), "3"]) for _ in range(2)]
        while any(sender.poll() is None for sender in senders):
            harvest = collector.gather(0.05)
            counted += sum(fold.count for fold in harvest.folds)
            lost.update(harvest.lost)
        harvest = collector.flush()
    counted += sum(fold.count for fold in harvest.folds)
    lost.update(harvest.lost)
    assert set(lost) <= {Loss.KERNEL}
    assert counted + lost[Loss.KERNEL] == logged_arriving() == 2 * MANY


def test_without_our_rules_what_was_lost_last_shows_with_the_next_packet() -> None:
    refuse_arriving("-p udp -d 127.0.0.2", PREFIX)
    with listening(100, 60.0, wall_clock, SMALL) as collector:
        flood(MANY)
        lost = Counter(collector.gather(0.5).lost)
        flood(1)
        harvest = collector.flush()
    (fold,) = harvest.folds
    lost.update(harvest.lost)
    assert fold.count + lost[Loss.KERNEL] == logged_arriving() == MANY + 1


def test_a_scan_beyond_the_bounds_adds_up() -> None:
    refuse_arriving("-p udp -d 127.0.0.2", PREFIX)
    with listening(100, 60.0, wall_clock, Bounds(most_folds=300, folds_per_second=100)) as collector:
        flood(6_000, ports=2_000)
        harvest = collector.flush()
    assert len(harvest.folds) <= 150
    assert set(harvest.lost) <= {Loss.RATE, Loss.TABLE}
    assert harvest.lost[Loss.RATE] > 0
    assert sum(fold.count for fold in harvest.folds) + sum(harvest.lost.values()) == logged_arriving() == 6_000


def test_what_is_more_than_may_be_read_is_lost_in_the_kernel_and_counted() -> None:
    write_ours()
    refuse_arriving("-p udp -d 127.0.0.2", PREFIX)
    bounds = Bounds(packets_per_second=500, receive_buffer_bytes=32_768)
    counted = lost = 0
    with listening(100, 0.1, wall_clock, bounds) as collector:
        for _ in range(4):
            flood(2_000)
            harvest = collector.gather(0.5)
            counted += sum(fold.count for fold in harvest.folds)
            lost += sum(harvest.lost.values())
        assert counted < 2_000
        harvest = collector.flush()
    counted += sum(fold.count for fold in harvest.folds)
    lost += sum(harvest.lost.values())
    assert lost > 0
    assert counted + lost == logged_arriving() == 8_000
