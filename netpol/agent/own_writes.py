"""Which changes of the kernel's tables are this process's, whichever of its threads makes them."""

from __future__ import annotations

from netpol.dataplane.foreign import OwnWrites


class WritesOfAll:
    """`OwnWrites` of several writers; one that joins does so before it writes."""

    def __init__(self) -> None:
        self._writers: tuple[OwnWrites, ...] = ()

    def join(self, writer: OwnWrites) -> None:
        """What this one writes is our own from here on."""
        self._writers = (*self._writers, writer)

    def is_own(self, writer: int) -> bool:
        """True for the number of a process that a write of one of them started."""
        return any(each.is_own(writer) for each in self._writers)

    @property
    def writes(self) -> int:
        """How many writes ended, twice over, and one more while any is under way."""
        told = [each.writes for each in self._writers]
        return 2 * sum(writes // 2 for writes in told) + any(writes % 2 for writes in told)
