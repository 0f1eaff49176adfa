"""What the kernel's rules logged, gathered and folded: by one thread, and never faster than it may be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from netpol.audit.capture.folding import FOLDS_PER_SECOND, MOST_FOLDS, Fold, Folding
from netpol.audit.capture.frames import decode_frames
from netpol.audit.capture.losses import Gaps, Loss
from netpol.audit.capture.nflog import RECEIVE_BUFFER_BYTES
from netpol.audit.capture.sounding import Soundings
from netpol.audit.capture.throttle import Budget
from netpol.errors import KernelRefusal
from netpol.model.moments import SECOND, Moment
from netpol.model.networks import Address

PACKETS_PER_SECOND = 40_000.0
"""Read on average: what is above it stays in the kernel, and is lost there once its room is used up."""

_AT_ONCE_SECONDS = 0.02
"""After a pause; a thread that waits for the interpreter's lock waits this out, so it is little."""
_SOUNDING_SECONDS = 1.0
"""A packet of our own arrives within a tenth of that, a batch's longest wait; later it was never logged."""
FLUSH_SECONDS = 2.0
"""How long the end waits for a moment without packets; in a flood there is none, and what the kernel then holds is all.

It has room for some 100,000 packets, and each takes 4 to 8 µs to read.
"""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is done for the audit log, however much there is to log; what is beyond is only counted."""

    packets_per_second: float = PACKETS_PER_SECOND
    folds_per_second: float = FOLDS_PER_SECOND
    most_folds: int = MOST_FOLDS
    receive_buffer_bytes: int = RECEIVE_BUFFER_BYTES


@dataclass(frozen=True, slots=True)
class Clocks:
    """The wall's clock; seconds of one that nobody sets; and how to let so many of these pass."""

    wall: Callable[[], Moment]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Harvest:
    """Folds whose window has passed, and how many packets were lost since the last harvest, by the reason."""

    folds: tuple[Fold, ...]
    lost: Mapping[Loss, int]


class Logged(Protocol):
    """What is used of the kernel's packet log."""

    def receive(self) -> bytes | None:
        """The next datagram; None where there is none at this moment. Raises KernelRefusal."""

    def wait(self, seconds: float) -> None:
        """Something was received, or the time has passed."""

    def take_overrun(self) -> bool:
        """True where there was no room for packets since the last call."""

    def stop(self) -> None:
        """Nothing more is logged; what is held is there to be received. Raises KernelRefusal."""


class Collector:
    """Folds what is logged; for one thread.

    Each packet that was logged is in one fold of one harvest, or lost in one. The wall's clock
    stamps the packets that the kernel does not, and closes windows.
    """

    def __init__(
        self, log: Logged, soundings: Soundings, clocks: Clocks, window_seconds: float, bounds: Bounds
    ) -> None:
        self._log = log
        self._soundings = soundings
        self._clocks = clocks
        self._folding = Folding(round(window_seconds * SECOND), bounds.most_folds, bounds.folds_per_second)
        self._budget = Budget(bounds.packets_per_second, bounds.packets_per_second * _AT_ONCE_SECONDS)
        self._gaps = Gaps()
        self._sounded_at = 0.0
        self._lost_told = 0

    def gather(self, timeout_seconds: float) -> Harvest:
        """What is due once the time has passed; KernelRefusal where nothing can be read any more."""
        self._read_until(self._clocks.monotonic() + timeout_seconds)
        return self._harvest(self._folding.due(self._clocks.wall()))

    def part(self, addresses: Collection[Address]) -> None:
        """Packets read from now on are in no fold with earlier ones to or from these addresses."""
        self._folding.part(addresses)

    def flush(self) -> Harvest:
        """All there is still; packets that are logged later are nobody's, and nothing can be gathered any more.

        Where the group cannot be read to its end, what was read of it is there all the same.
        """
        with suppress(KernelRefusal):
            self._read_to_the_end(self._clocks.monotonic() + FLUSH_SECONDS)
        self._soundings.give_up()
        return self._harvest(self._folding.flush())

    def _read_to_the_end(self, deadline: float) -> None:
        """Nothing more is logged to us, and all that was is folded or known to be lost."""
        while (left := deadline - self._clocks.monotonic()) > 0:
            if not self._read_one():
                self._sound()
                if not self._soundings.awaited:
                    break
                self._log.wait(min(left, _SOUNDING_SECONDS))
        self._log.stop()
        while self._read_one():
            pass

    def _read_until(self, deadline: float) -> None:
        while (left := deadline - self._clocks.monotonic()) > 0:
            if (overdrawn := self._budget.overdrawn_seconds(self._clocks.monotonic())) > 0:
                self._clocks.sleep(min(overdrawn, left))
            elif not self._read_one():
                self._sound()
                self._log.wait(left)

    def _read_one(self) -> bool:
        """One datagram is read and folded; False where there was none."""
        datagram = self._log.receive()
        if datagram is None:
            return False
        frames, at = decode_frames(datagram, self._clocks.wall()), self._clocks.monotonic()
        self._budget.spend(len(frames), at)
        self._gaps.count(frames)
        self._folding.add(self._soundings.take_out(frames), at)
        return True

    def _sound(self) -> None:
        """Nothing is there to be read: what was lost last shows by no number yet, where anything was."""
        if self._log.take_overrun():
            self._soundings.send()
            self._sounded_at = self._clocks.monotonic()
        elif self._soundings.awaited and self._clocks.monotonic() > self._sounded_at + _SOUNDING_SECONDS:
            self._soundings.give_up()

    def _harvest(self, folds: list[Fold]) -> Harvest:
        lost = Counter(self._folding.take_lost())
        # One of ours that is still awaited may be among the missing: it is nobody's loss.
        known = self._gaps.lost - self._soundings.lost - self._soundings.awaited
        if known > self._lost_told:
            lost[Loss.KERNEL] = known - self._lost_told
            self._lost_told = known
        return Harvest(tuple(folds), lost)
