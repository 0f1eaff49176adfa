"""Packets that are alike, counted together while their window is open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile

from netpol.audit.capture.frames import Frame
from netpol.audit.capture.losses import Loss
from netpol.audit.capture.packet import Packet, decode_packet, distinction
from netpol.audit.capture.throttle import Budget
from netpol.model.moments import Moment
from netpol.model.networks import Address

MOST_FOLDS = 4096
"""Folds open at once: some 3 MB. A scan of two thousand ports within one window is told port by port."""

FOLDS_PER_SECOND = 1000.0
"""Folds begun in a second on average, and so records written: at most some 800 kB/s for each outlet."""


@dataclass(frozen=True, slots=True)
class Fold:
    """Packets alike in all but their source port and time that met the same logging rule; the first is described."""

    prefix: str
    packet: Packet
    count: int
    first: Moment
    last: Moment


class _OpenFold:
    """What is being counted, until it is given out; its window may have passed already."""

    __slots__ = ("closes", "count", "first", "last", "packet", "prefix")

    def __init__(self, prefix: bytes, packet: Packet, moment: Moment, window: Moment) -> None:
        self.prefix = prefix
        self.packet = packet
        self.count = 1
        self.first = self.last = moment
        self.closes = moment + window

    def given_out(self) -> Fold:
        return Fold(self.prefix.decode(errors="backslashreplace"), self.packet, self.count, self.first, self.last)


class Folding:
    """Folds, each for `window` from its first packet on; a bounded number at once, and begun in each second.

    Every frame added is in one fold that is given out, or in `take_lost`. A frame like those of
    an open fold always has room. No rule holds more folds than it leaves room for, nor begins
    more in a second than may begin still: who scans one pod's ports takes half, and what is
    refused elsewhere is told all the same.
    """

    def __init__(
        self, window: Moment, most_folds: int = MOST_FOLDS, folds_per_second: float = FOLDS_PER_SECOND
    ) -> None:
        self._window = window
        self._most_folds = most_folds
        self._budget = Budget(folds_per_second, max(1.0, folds_per_second))
        # In the order in which they were begun: the next to close is the first.
        self._open: dict[Hashable, _OpenFold] = {}
        self._closed: list[_OpenFold] = []
        self._held: Counter[bytes] = Counter()
        self._begun: Counter[bytes] = Counter()
        self._second = 0
        self._lost: Counter[Loss] = Counter()

    def add(self, frames: Iterable[Frame], at: float) -> None:
        """Each frame is counted, in its fold or as lost; `at` are seconds of a clock that nobody sets."""
        open_folds = self._open
        for frame in frames:
            prefix, moment, packet, _ = frame
            key = prefix, distinction(packet)
            fold = open_folds.get(key)
            if fold is not None and moment < fold.closes:
                fold.count += 1
                # Packets of several processors may be logged a little out of order.
                if moment > fold.last:
                    fold.last = moment
            elif (loss := self._begin(key, frame, at)) is not None:
                self._lost[loss] += 1

    def part(self, addresses: Collection[Address]) -> None:
        """Packets from now on are in no fold with earlier ones to or from these addresses: others may have them now."""
        parted = [
            key
            for key, fold in self._open.items()
            if fold.packet.source in addresses or fold.packet.destination in addresses
        ]
        self._closed += (self._open.pop(key) for key in parted)

    def due(self, now: Moment) -> list[Fold]:
        """The folds whose window has passed, or lies ahead because the clock was set back; they are no longer held."""
        passed = list(takewhile(lambda each: abs(now - each[1].first) >= self._window, self._open.items()))
        for key, _ in passed:
            del self._open[key]
        due = [*self._closed, *(fold for _, fold in passed)]
        self._closed.clear()
        self._held -= Counter(fold.prefix for fold in due)
        return [fold.given_out() for fold in due]

    def flush(self) -> list[Fold]:
        """All folds, whether or not their window has passed; none is held afterwards."""
        held = [*self._closed, *self._open.values()]
        self._closed.clear()
        self._open.clear()
        self._held.clear()
        return [fold.given_out() for fold in held]

    def take_lost(self) -> Mapping[Loss, int]:
        """How many frames found no room since the last call, by the reason."""
        lost, self._lost = self._lost, Counter()
        return lost

    def _begin(self, key: Hashable, frame: Frame, at: float) -> Loss | None:
        """A fold of this frame is open, in place of one whose window has passed; else why not."""
        room = self._most_folds - len(self._open) - len(self._closed)
        if self._held[frame.prefix] >= room:
            return Loss.TABLE
        if (left := self._budget.left(at)) < 1 or self._begun_by(frame.prefix, at) >= left:
            return Loss.RATE
        if (packet := decode_packet(frame.packet)) is None:
            return Loss.UNREADABLE
        self._budget.spend(1, at)
        self._begun[frame.prefix] += 1
        self._held[frame.prefix] += 1
        if (passed := self._open.pop(key, None)) is not None:
            self._closed.append(passed)
        self._open[key] = _OpenFold(frame.prefix, packet, frame.moment, self._window)
        return None

    def _begun_by(self, prefix: bytes, at: float) -> int:
        """How many folds the rule has begun in this second."""
        if self._second != int(at):
            self._second = int(at)
            self._begun.clear()
        return self._begun[prefix]
