"""How much may be done: so much in each second, and a little more at once after a pause."""

from __future__ import annotations


class Budget:
    """An allowance that grows by `per_second` up to `most`, which is what there is at first.

    Times are seconds of a clock that nobody sets: the wall's would give nothing for an hour that it was set back.
    """

    def __init__(self, per_second: float, most: float) -> None:
        self._per_second = per_second
        self._most = most
        self._left = most
        self._asked: float | None = None

    def left(self, at: float) -> float:
        """What may be spent at this time; less than nothing where more than that was spent before."""
        if self._asked is not None:
            self._left = min(self._most, self._left + (at - self._asked) * self._per_second)
        self._asked = at
        return self._left

    def spend(self, amount: float, at: float) -> None:
        """So much less is left, and less than nothing where there was not that much: what was done cannot be undone."""
        self._left = self.left(at) - amount

    def overdrawn_seconds(self, at: float) -> float:
        """How long to spend nothing, until what was spent too much has grown again."""
        return max(0.0, -self.left(at) / self._per_second)
