"""A packet of our own is logged where our rules are, known again wherever it arrives, and nobody's loss where not."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Sequence

import pytest
from logging_rules import write_ours
from packets import UDP, ipv4, ipv6, ports

from netpol.audit.capture.frames import Frame, decode_frames
from netpol.audit.capture.nflog import PacketLog
from netpol.audit.capture.sounding import SECRET_BYTES, Soundings, is_logged
from netpol.compiler import log_points, names
from netpol.model.networks import Family

CUT = log_points.prefix(names.CUT).encode()
MINE, OTHERS = bytes(range(SECRET_BYTES)), bytes(SECRET_BYTES)
OTHER = Frame(CUT, 0, ipv4(UDP, ports(53, 40000)), 7)


class Sent:
    """What every sounding said; each counts as logged."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []

    def __call__(self, family: Family, text: bytes) -> bool:
        assert family is Family.IPV4
        self.texts.append(text)
        return True


def frame_of(text: bytes) -> Frame:
    return Frame(CUT, 0, ipv6(UDP, ports(1, 2)[:8] + text), 8)


def test_our_own_are_taken_out_and_all_others_stay() -> None:
    sent = Sent()
    soundings = Soundings(MINE, sent)
    soundings.send()
    assert soundings.awaited == 1
    assert soundings.take_out([OTHER, frame_of(sent.texts[0]), OTHER]) == [OTHER, OTHER]
    assert (soundings.awaited, soundings.lost) == (0, 0)


def test_those_sent_before_one_that_arrives_are_lost_and_later_ones_awaited() -> None:
    sent = Sent()
    soundings = Soundings(MINE, sent)
    for _ in range(4):
        soundings.send()
    assert soundings.take_out([OTHER, frame_of(sent.texts[2])]) == [OTHER]
    assert (soundings.awaited, soundings.lost) == (1, 2)
    soundings.give_up()
    assert (soundings.awaited, soundings.lost) == (0, 2)


def test_nobody_else_can_make_one() -> None:
    sent = Sent()
    mine, others = Soundings(MINE, sent), Soundings(OTHERS, sent)
    mine.send()
    others.send()
    forged = frame_of(sent.texts[1])
    assert mine.take_out([forged]) == [forged]
    assert mine.awaited == 1


@pytest.mark.kernel
@pytest.mark.parametrize("families", [tuple(Family), (Family.IPV4,), (Family.IPV6,)], ids=str)
def test_our_rules_log_and_drop_it_and_nothing_of_it_stays(families: Sequence[Family], private_network: None) -> None:
    write_ours(families)
    soundings = Soundings(MINE, is_logged)
    with PacketLog(100) as log:
        soundings.send()
        assert soundings.awaited == 1
        log.stop()
        frames = [frame for each in iter(log.receive, None) for frame in decode_frames(each, 0)]
    assert [(frame.prefix, frame.sequence) for frame in frames] == [(CUT, 0)]
    assert soundings.take_out(frames) == []
    assert soundings.awaited == 0
    for family in families:
        listed = subprocess.run(["ipset", "list", names.cut_set(family)], check=True, capture_output=True, text=True)
        assert listed.stdout.endswith("Members:\n")


@pytest.mark.kernel
def test_without_our_rules_nothing_is_awaited(private_network: None) -> None:
    soundings = Soundings(MINE, is_logged)
    soundings.send()
    assert soundings.awaited == 0


@pytest.mark.kernel
def test_without_addresses_of_loopback_nothing_is_awaited(private_network: None) -> None:
    write_ours()
    subprocess.run(["ip", "address", "flush", "dev", "lo"], check=True)
    soundings = Soundings(MINE, is_logged)
    soundings.send()
    assert soundings.awaited == 0


def test_without_any_socket_nothing_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no file descriptor is left")

    monkeypatch.setattr(socket, "socket", refuse)
    soundings = Soundings(MINE, is_logged)
    soundings.send()
    assert soundings.awaited == 0
