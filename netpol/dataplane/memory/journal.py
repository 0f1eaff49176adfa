"""What was done to the kernel in memory, and which operation it shall refuse."""

from __future__ import annotations

from netpol.errors import KernelRefusal


class Journal:
    """The operations done so far: a set made or destroyed, a member added or removed, a table or flows written.

    A bulk message is as many operations as it has members, because the kernel may stop
    in the middle of one; a table is one, because it does not.
    """

    def __init__(self) -> None:
        self.operations: list[str] = []
        self._refuse_in: int | None = None

    def refuse(self, after: int) -> None:
        """Let `after` more operations be done and refuse the one that follows, once."""
        self._refuse_in = after

    def enter(self, operation: str) -> None:
        """Note the operation; KernelRefusal, with nothing noted, where it is the one to refuse."""
        if self._refuse_in is not None:
            self._refuse_in -= 1
            if self._refuse_in < 0:
                self._refuse_in = None
                raise KernelRefusal(f"{operation}: refused, as the test told the kernel to")
        self.operations.append(operation)
