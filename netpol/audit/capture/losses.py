"""Packets that were logged and are only counted: how many, and for what reason."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from netpol.audit.capture.frames import Frame

_NUMBERS = 1 << 32


class Loss(enum.Enum):
    """Why packets of which the kernel's rules told are only counted; the values are labels of a metric."""

    KERNEL = "kernel"
    """They were more than were read: the kernel had no room for them."""
    TABLE = "table"
    """They were unlike all that is being folded, and the rule that logged them had its share of folds."""
    RATE = "rate"
    """They were unlike all that is being folded, and there were too many folds already in this second."""
    UNREADABLE = "unreadable"
    """They were no IP packets, or too short to tell their addresses."""
    JUDGE = "judge"
    """They were in a fold that could not be judged, by a fault of ours."""


class Gaps:
    """How many packets the numbers that did not arrive stand for; the kernel gives the first packet of all number 0."""

    def __init__(self) -> None:
        self.lost = 0
        self._next = 0

    def count(self, frames: Sequence[Frame]) -> None:
        """What is missing before and among these frames is counted.

        The kernel hands packets over in the order of their numbers, so those of the last tell
        it all. A whole round of 2^32 lost packets does not show.
        """
        numbers = [frame.sequence for frame in frames if frame.sequence is not None]
        if numbers:
            following = numbers[-1] + 1
            self.lost += (following - self._next - len(numbers)) % _NUMBERS
            self._next = following % _NUMBERS
