"""What is known of a logged packet."""

from __future__ import annotations

from builders import address

from netpol.audit.capture.packet import Fold, Packet


def test_what_was_not_found_in_a_packet_is_none() -> None:
    packet = Packet(address("10.0.0.1"), address("10.0.0.2"), 47)
    assert packet == (address("10.0.0.1"), address("10.0.0.2"), 47, None, None, None)


def test_folds_of_the_same_packets_are_alike() -> None:
    packet = Packet(address("fd00::1"), address("fd00::2"), 58, icmp_type=128)
    assert Fold("1:NETPOL-CUT", packet, 3, 10, 20) == Fold("1:NETPOL-CUT", packet._replace(), 3, 10, 20)
