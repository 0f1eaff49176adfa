"""One table that is kept equal to hooks and chains, where no set changes with it: nat, mangle."""

from __future__ import annotations

from collections.abc import Mapping

from netpol.compiler.ruleset import Table
from netpol.dataplane.apply import left_in
from netpol.dataplane.clearing import Cleared, clear_tables
from netpol.dataplane.kernel import Tables
from netpol.dataplane.patch import write_table
from netpol.dataplane.render import RenderedTable, render_table
from netpol.errors import KernelRefusal
from netpol.model.networks import Family

ATTEMPTS = 3


class TableKeeper:
    """Reads what is held each time and writes differences only; what rules refer to must be there."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def converge(self, desired: Mapping[Family, Table]) -> int:
        """Each family's table holds what is desired, and a family that is not desired nothing of ours.

        Returns how many chains were written. Each family stands for itself: where one is refused
        it is left as it was, and the others are written all the same. Raises KernelRefusal then.
        """
        chains = 0
        refused: list[str] = []
        for family in Family:
            table = desired.get(family)
            try:
                chains += self._converge(family, _NOTHING if table is None else render_table(table, family))
            except KernelRefusal as refusal:
                # Where nothing is wanted and nothing can be read, nothing was written.
                if table is not None or left_in(self._tables, family) is not None:
                    refused.append(str(refusal))
        if refused:
            raise KernelRefusal("; ".join(refused))
        return chains

    def clear(self) -> Cleared:
        """Nothing of ours is left in the table, but what rules of others lead to, which is named."""
        return clear_tables(self._tables, _with_something(self._tables))

    def _converge(self, family: Family, wanted: RenderedTable) -> int:
        """How many chains were written, hooks alone being one.

        Where another writer changed the table meanwhile, it is read again.
        """
        held = self._tables.read(family)
        attempts_left = ATTEMPTS
        while True:
            step = write_table(family, wanted, held)
            if step is None:
                return 0
            try:
                self._tables.write(family, step.lines)
            except KernelRefusal:
                attempts_left -= 1
                before, held = held, self._tables.read(family)
                if not attempts_left or held == before:
                    raise
            else:
                return len(step.chains) or 1


def _with_something(tables: Tables) -> list[Family]:
    """The families whose table holds anything of ours."""
    return [family for family in Family if left_in(tables, family)]


_NOTHING = RenderedTable({}, {})
