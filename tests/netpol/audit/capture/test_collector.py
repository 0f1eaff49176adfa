"""Harvests hold every packet that was logged once: in a fold, or as lost, and none of our own."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from packets import CLIENT, SERVER, TCP, UDP, ipv4, logged, ports

from netpol.audit.capture.collector import FLUSH_SECONDS, Bounds, Clocks, Collector, Harvest
from netpol.audit.capture.folding import FOLDS_PER_SECOND
from netpol.audit.capture.losses import Loss
from netpol.audit.capture.packet import Packet
from netpol.audit.capture.sounding import SECRET_BYTES, Soundings
from netpol.errors import KernelRefusal
from netpol.model.moments import SECOND, Moment
from netpol.model.networks import Family

START = 1_700_000_000 * SECOND
PACKET = ipv4(TCP, ports(40000, 80))
SECRET = bytes(range(SECRET_BYTES))


class ScriptedLog:
    """A group that was logged what is put here, and `flood` until the end; `overran` as the kernel says it once."""

    def __init__(self) -> None:
        self.datagrams: list[bytes] = []
        self.flood: bytes | None = None
        self.flooded = 0
        self.held: list[bytes] = []
        self.meanwhile: list[bytes] = []
        self.overran = False
        self.refusal: KernelRefusal | None = None
        self.waited: list[float] = []

    def receive(self) -> bytes | None:
        if self.refusal:
            raise self.refusal
        if self.datagrams:
            return self.datagrams.pop(0)
        self.flooded += self.flood is not None
        return self.flood

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.datagrams += self.meanwhile
        self.meanwhile = []

    def take_overrun(self) -> bool:
        overran, self.overran = self.overran, False
        return overran

    def stop(self) -> None:
        self.flood = None
        self.datagrams += self.held


class Stage:
    """A collector of a scripted group, and all that it uses; its clock goes on by a millisecond at each look."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.log = ScriptedLog()
        self.now: Moment = START
        self.seconds = 0.0
        self.slept: list[float] = []
        self.sounded: list[bytes] = []
        clocks = Clocks(lambda: self.now, self._look, self._sleep)
        self.collector = Collector(self.log, Soundings(SECRET, self._sound), clocks, 5.0, bounds or Bounds())

    def gather(self, seconds: float) -> Harvest:
        return self.collector.gather(seconds)

    def flush(self) -> Harvest:
        return self.collector.flush()

    def _look(self) -> float:
        self.seconds += 0.001
        return self.seconds

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds

    def _sound(self, _: Family, text: bytes) -> bool:
        self.sounded.append(text)
        return True


@pytest.fixture
def stage() -> Stage:
    return Stage()


def batch(numbers: Iterable[int | None], packet: bytes = PACKET) -> bytes:
    return b"".join(logged(packet, "1:NETPOL-INVALID", START, number) for number in numbers)


def scan(to: Iterable[int]) -> bytes:
    """A packet for each port."""
    return b"".join(logged(ipv4(TCP, ports(40000, port))) for port in to)


def sounded(text: bytes, number: int) -> bytes:
    """A packet of our own as it arrives."""
    return batch(range(number, number + 1), ipv4(UDP, ports(1, 2)[:8] + text))


def told(harvest: Harvest) -> tuple[list[int], dict[Loss, int]]:
    return [fold.count for fold in harvest.folds], dict(harvest.lost)


def test_folds_are_gathered_once_their_window_has_passed(stage: Stage) -> None:
    log = stage.log
    log.datagrams = [batch(range(64)), batch(range(64, 100))]
    assert told(stage.gather(0.1)) == ([], {})
    stage.now += 5 * SECOND
    harvest = stage.gather(0.1)
    assert told(harvest) == ([100], {})
    assert harvest.folds[0].prefix == "1:NETPOL-INVALID"
    assert harvest.folds[0].packet == Packet(CLIENT, SERVER, TCP, 40000, 80)
    assert told(stage.gather(0.1)) == ([], {})


def test_it_waits_for_packets_no_longer_than_it_was_told(stage: Stage) -> None:
    log = stage.log
    stage.gather(0.1)
    assert log.waited
    assert max(log.waited) <= 0.1


def test_losses_are_told_apart() -> None:
    stage = Stage(Bounds(most_folds=1))
    log = stage.log
    log.datagrams = [batch(range(10)), batch(range(15, 20), ipv4(UDP, ports(1, 2))), batch(range(20, 22), b"")]
    assert told(stage.gather(0.1)) == ([], {Loss.KERNEL: 5, Loss.TABLE: 7})
    assert told(stage.gather(0.1)) == ([], {})
    assert told(stage.flush()) == ([10], {})


def test_what_the_kernel_held_is_flushed(stage: Stage) -> None:
    log = stage.log
    log.datagrams, log.held = [batch(range(3))], [batch(range(4, 6))]
    assert told(stage.flush()) == ([5], {Loss.KERNEL: 1})


def test_what_was_read_before_the_group_failed_is_flushed(stage: Stage) -> None:
    log = stage.log
    log.datagrams = [batch(range(3))]
    stage.gather(0.1)
    log.refusal = KernelRefusal("gone")
    with pytest.raises(KernelRefusal, match="gone"):
        stage.gather(0.1)
    assert told(stage.flush()) == ([3], {})


def test_no_more_is_read_than_may_be() -> None:
    stage = Stage(Bounds(packets_per_second=100))
    log = stage.log
    log.datagrams = [batch(range(start, start + 10)) for start in range(0, 200, 10)]
    stage.gather(0.5)
    # Two at once, and then as many as half a second gives; the last may be too many by nine.
    assert 40 < 200 - 10 * len(log.datagrams) <= 2 + 50 + 9
    assert stage.slept


def test_a_wall_clock_set_back_takes_no_fold_from_those_that_may_begin(stage: Stage) -> None:
    first, second = (range(start, start + int(FOLDS_PER_SECOND / 2)) for start in (1, 10_001))
    stage.log.datagrams = [scan(first)]
    assert told(stage.gather(1.1)) == ([], {})
    stage.now -= 3600 * SECOND
    stage.log.datagrams = [scan(second)]
    assert told(stage.gather(1.1)) == ([1] * len(first), {})
    assert told(stage.flush()) == ([1] * len(second), {})


def test_after_an_overrun_a_packet_of_our_own_shows_what_was_lost_last(stage: Stage) -> None:
    log = stage.log
    log.datagrams, log.overran = [batch(range(10))], True
    assert told(stage.gather(0.01)) == ([], {})
    (text,) = stage.sounded
    log.datagrams = [sounded(text, 17)]
    assert told(stage.gather(0.01)) == ([], {Loss.KERNEL: 7})
    assert len(stage.sounded) == 1
    assert told(stage.flush()) == ([10], {})


def test_one_of_our_own_that_is_lost_is_nobodys_loss(stage: Stage) -> None:
    log = stage.log
    log.overran = True
    stage.gather(0.01)
    # Numbers 0 to 9 are lost, and ours is among them; until that is certain, less is told.
    log.datagrams, log.overran = [batch(range(10, 20))], True
    assert told(stage.gather(0.01)) == ([], {Loss.KERNEL: 8})
    log.datagrams = [sounded(stage.sounded[1], 20)]
    assert told(stage.gather(0.01)) == ([], {Loss.KERNEL: 1})
    assert told(stage.flush()) == ([10], {})


def test_one_of_our_own_that_was_never_logged_hides_no_loss(stage: Stage) -> None:
    log = stage.log
    log.overran = True
    stage.gather(0.01)
    log.datagrams = [batch(range(10, 20))]
    assert told(stage.gather(0.01)) == ([], {Loss.KERNEL: 9})
    assert told(stage.gather(1.5)) == ([], {Loss.KERNEL: 1})
    assert len(stage.sounded) == 1


def test_the_end_waits_for_a_packet_of_our_own(stage: Stage) -> None:
    log = stage.log
    log.datagrams, log.overran = [batch(range(10))], True
    log.meanwhile = [sounded(SECRET + (1).to_bytes(4, "big"), 12)]
    assert told(stage.flush()) == ([10], {Loss.KERNEL: 2})
    assert len(stage.sounded) == 1


def test_a_flood_goes_on_without_its_reader(stage: Stage) -> None:
    stage.log.flood, stage.log.held = batch([None] * 64), [batch([None] * 3)]
    assert told(stage.flush()) == ([64 * stage.log.flooded + 3], {})
    assert FLUSH_SECONDS <= stage.seconds < FLUSH_SECONDS + 0.1


def test_the_end_does_not_wait_for_ever(stage: Stage) -> None:
    log = stage.log
    log.datagrams, log.overran = [batch(range(10))], True
    assert told(stage.flush()) == ([10], {})
    assert len(stage.sounded) == 1
