"""Harvests hold every packet that was logged once: in a fold, or as lost, and none of our own."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from itertools import count
from typing import ClassVar

import pytest
from packets import CLIENT, SERVER, TCP, UDP, ipv4, logged, ports

from netpol.audit.capture import collector, sounding
from netpol.audit.capture.collector import Bounds, Collector, Harvest
from netpol.audit.capture.losses import Loss
from netpol.audit.capture.packet import Packet
from netpol.errors import KernelRefusal
from netpol.model.moments import SECOND, Moment
from netpol.model.networks import Family

START = 1_700_000_000 * SECOND
PACKET = ipv4(TCP, ports(40000, 80))


class ScriptedLog:
    """A group that was logged what is put here; `overran` as the kernel would say it once."""

    opened: ClassVar[list[ScriptedLog]] = []

    def __init__(self, group: int, receive_buffer_bytes: int) -> None:
        self.group, self.receive_buffer_bytes = group, receive_buffer_bytes
        self.datagrams: list[bytes] = []
        self.held: list[bytes] = []
        self.meanwhile: list[bytes] = []
        self.overran = self.closed = False
        self.refusal: KernelRefusal | None = None
        self.waited: list[float] = []
        self.opened.append(self)

    def receive(self) -> bytes | None:
        if self.refusal:
            raise self.refusal
        return self.datagrams.pop(0) if self.datagrams else None

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.datagrams += self.meanwhile
        self.meanwhile = []

    def take_overrun(self) -> bool:
        overran, self.overran = self.overran, False
        return overran

    def stop(self) -> None:
        self.datagrams += self.held

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def _no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group of a script for the kernel's, and a clock that goes on by a millisecond whenever it is looked at."""
    ticks = count()
    monkeypatch.setattr(collector, "PacketLog", ScriptedLog)
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks) / 1000)
    monkeypatch.setattr(time, "sleep", slept.append)
    slept.clear()


slept: list[float] = []


@pytest.fixture
def soundings(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The packets of our own that were sent and logged."""
    texts: list[bytes] = []

    def note(_: Family, text: bytes) -> bool:
        texts.append(text)
        return True

    monkeypatch.setattr(sounding, "_logged", note)
    return texts


@pytest.fixture
def sounding_secret(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """What the packets of our own hold."""
    secret = bytes(range(16))
    monkeypatch.setattr(secrets, "token_bytes", lambda _: secret)
    return secret


class Clock:
    def __init__(self) -> None:
        self.now: Moment = START

    def __call__(self) -> Moment:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def collecting(clock: Clock, bounds: Bounds | None = None) -> tuple[Collector, ScriptedLog]:
    opened = Collector(100, 5.0, bounds, clock=clock)
    return opened, ScriptedLog.opened[-1]


def batch(numbers: Iterator[int] | range, packet: bytes = PACKET) -> bytes:
    return b"".join(logged(packet, "1:NETPOL-INVALID", START, number) for number in numbers)


def sounded(text: bytes, number: int) -> bytes:
    """A packet of our own as it arrives."""
    return batch(range(number, number + 1), ipv4(UDP, ports(1, 2)[:8] + text))


def told(harvest: Harvest) -> tuple[list[int], dict[Loss, int]]:
    return [fold.count for fold in harvest.folds], dict(harvest.lost)


def test_folds_are_gathered_once_their_window_has_passed(clock: Clock) -> None:
    opened, log = collecting(clock)
    log.datagrams = [batch(range(64)), batch(range(64, 100))]
    assert told(opened.gather(0.1)) == ([], {})
    clock.now += 5 * SECOND
    harvest = opened.gather(0.1)
    assert told(harvest) == ([100], {})
    assert harvest.folds[0].prefix == "1:NETPOL-INVALID"
    assert harvest.folds[0].packet == Packet(CLIENT, SERVER, TCP, 40000, 80)
    assert told(opened.gather(0.1)) == ([], {})


def test_it_waits_for_packets_no_longer_than_it_was_told(clock: Clock) -> None:
    opened, log = collecting(clock)
    opened.gather(0.1)
    assert log.waited
    assert max(log.waited) <= 0.1


def test_the_group_and_the_room_are_asked_for_and_given_back(clock: Clock) -> None:
    with Collector(7, 1.0, Bounds(receive_buffer_bytes=4096), clock):
        log = ScriptedLog.opened[-1]
        assert (log.group, log.receive_buffer_bytes, log.closed) == (7, 4096, False)
    assert log.closed


def test_losses_are_told_apart(clock: Clock) -> None:
    opened, log = collecting(clock, Bounds(most_folds=1))
    log.datagrams = [batch(range(10)), batch(range(15, 20), ipv4(UDP, ports(1, 2))), batch(range(20, 22), b"")]
    assert told(opened.gather(0.1)) == ([], {Loss.KERNEL: 5, Loss.TABLE: 7})
    assert told(opened.gather(0.1)) == ([], {})
    assert told(opened.flush()) == ([10], {})


def test_what_the_kernel_held_is_flushed(clock: Clock) -> None:
    opened, log = collecting(clock)
    log.datagrams, log.held = [batch(range(3))], [batch(range(4, 6))]
    assert told(opened.flush()) == ([5], {Loss.KERNEL: 1})


def test_what_was_read_before_the_group_failed_is_flushed(clock: Clock) -> None:
    opened, log = collecting(clock)
    log.datagrams = [batch(range(3))]
    opened.gather(0.1)
    log.refusal = KernelRefusal("gone")
    with pytest.raises(KernelRefusal, match="gone"):
        opened.gather(0.1)
    assert told(opened.flush()) == ([3], {})


def test_no_more_is_read_than_may_be(clock: Clock) -> None:
    opened, log = collecting(clock, Bounds(packets_per_second=100))
    log.datagrams = [batch(range(start, start + 10)) for start in range(0, 200, 10)]
    opened.gather(0.5)
    # Two at once, and then as many as half a second gives; the last may be too many by nine.
    assert 40 < 200 - 10 * len(log.datagrams) <= 2 + 50 + 9
    assert slept


def test_after_an_overrun_a_packet_of_our_own_shows_what_was_lost_last(clock: Clock, soundings: list[bytes]) -> None:
    opened, log = collecting(clock)
    log.datagrams, log.overran = [batch(range(10))], True
    assert told(opened.gather(0.01)) == ([], {})
    (text,) = soundings
    log.datagrams = [sounded(text, 17)]
    assert told(opened.gather(0.01)) == ([], {Loss.KERNEL: 7})
    assert len(soundings) == 1
    assert told(opened.flush()) == ([10], {})


def test_one_of_our_own_that_is_lost_is_nobodys_loss(clock: Clock, soundings: list[bytes]) -> None:
    opened, log = collecting(clock)
    log.overran = True
    opened.gather(0.01)
    # Numbers 0 to 9 are lost, and ours is among them; until that is certain, less is told.
    log.datagrams, log.overran = [batch(range(10, 20))], True
    assert told(opened.gather(0.01)) == ([], {Loss.KERNEL: 8})
    log.datagrams = [sounded(soundings[1], 20)]
    assert told(opened.gather(0.01)) == ([], {Loss.KERNEL: 1})
    assert told(opened.flush()) == ([10], {})


def test_one_of_our_own_that_was_never_logged_hides_no_loss(clock: Clock, soundings: list[bytes]) -> None:
    opened, log = collecting(clock)
    log.overran = True
    opened.gather(0.01)
    log.datagrams = [batch(range(10, 20))]
    assert told(opened.gather(0.01)) == ([], {Loss.KERNEL: 9})
    assert told(opened.gather(1.5)) == ([], {Loss.KERNEL: 1})
    assert len(soundings) == 1


def test_the_end_waits_for_a_packet_of_our_own(clock: Clock, soundings: list[bytes], sounding_secret: bytes) -> None:
    opened, log = collecting(clock)
    log.datagrams, log.overran = [batch(range(10))], True
    log.meanwhile = [sounded(sounding_secret + (1).to_bytes(4, "big"), 12)]
    assert told(opened.flush()) == ([10], {Loss.KERNEL: 2})
    assert len(soundings) == 1


def test_the_end_does_not_wait_for_ever(clock: Clock, soundings: list[bytes]) -> None:
    opened, log = collecting(clock)
    log.datagrams, log.overran = [batch(range(10))], True
    assert told(opened.flush()) == ([10], {})
    assert len(soundings) == 1
