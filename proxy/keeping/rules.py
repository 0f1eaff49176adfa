"""Sets and chains: in the filter table those of the proxy behind the firewall's, in nat and mangle without a set."""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass

from netpol.compiler.ruleset import IpSet, Ruleset, TableName
from netpol.dataplane.apply import Kernel
from netpol.dataplane.keeper import Keeper
from netpol.dataplane.steps import Step, WriteTable
from netpol.dataplane.table_keeper import TableKeeper
from netpol.errors import KernelRefusal
from proxy.model import ServerMark
from proxy.services.engine import ProxyEngine
from proxy.services.rules import marking_for

MOST_LOOKS = 3
"""How often the filter table is read again where it had to be written."""


@dataclass(frozen=True, slots=True)
class _Names:
    """What a change is about, as `Keeper.change` is told it."""

    sets: frozenset[str]
    chains: frozenset[str]


class ServiceRules:
    """The sets as they are told to be, which may be less than the engine asks for, and the engine's chains.

    What writes or reads the kernel raises KernelRefusal.
    """

    def __init__(self, kernel: Kernel, nat: TableKeeper, mangle: TableKeeper, engine: ProxyEngine) -> None:
        self._kernel = kernel
        self._keeper = Keeper(kernel)
        self._others = {TableName.NAT: nat, TableName.MANGLE: mangle}
        self._engine = engine
        self._sets: dict[str, IpSet] = {}

    @property
    def is_certain(self) -> bool:
        """True where the kernel is known to hold what it was last told."""
        return self._keeper.is_certain

    @property
    def sets(self) -> Mapping[str, IpSet]:
        """The sets that the kernel has, by name."""
        return self._sets

    def estranged(self) -> frozenset[str]:
        """The sets that others have changed, as far as that shows without their members."""
        return self._keeper.estranged()

    def read(self) -> None:
        """It is known which sets there are."""
        self._sets = dict(self._kernel.sets.read())

    def converge(self, sets: Mapping[str, IpSet]) -> tuple[Step, ...]:
        """The kernel has exactly these sets, and the filter table, after reading both; returns what had to be done.

        Before anything more is let in, ours stand behind the firewall's, even if that was written meanwhile; where
        that does not come to rest, it is a KernelRefusal.
        """
        steps: tuple[Step, ...] = ()
        for _ in range(MOST_LOOKS):
            found = self._keeper.converge(Ruleset(sets, self._engine.tables()[TableName.FILTER])).steps
            steps += found
            self._sets = dict(sets)
            if not any(isinstance(step, WriteTable) for step in found):
                return steps
        self._keeper.doubt()
        raise KernelRefusal(f"the filter table is written by somebody else each time: {MOST_LOOKS} looks found it so")

    def change(self, sets: Mapping[str, IpSet]) -> tuple[Step, ...]:
        """The kernel has these sets; returns what had to be done."""
        if not sets:
            return ()
        tables = self._engine.tables()[TableName.FILTER]
        chains = frozenset(name for table in tables.values() for name in table.chains)
        steps = self._keeper.change(Ruleset(sets, tables), _Names(frozenset(sets), chains)).steps
        self._sets.update(sets)
        return steps

    def write_tables(self, touched: Collection[TableName], served: Container[ServerMark]) -> int:
        """Of the tables beside filter, those that are touched hold their chains; returns how many had to be written.

        No packet gets a mark that is not `served`.
        """
        wanted = dict(self._engine.tables())
        wanted[TableName.MANGLE] = {
            family: marking_for(table, family, served) for family, table in wanted[TableName.MANGLE].items()
        }
        return sum(keeper.converge(wanted[name]) for name, keeper in self._others.items() if name in touched)

    def sweep(self) -> None:
        """There is no set that nothing asks for: chains of every table may have referred to one until now."""
        while self._keeper.sweep():
            pass
