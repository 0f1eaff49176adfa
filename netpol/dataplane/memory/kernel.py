"""The kernel in memory as a whole."""

from __future__ import annotations

from copy import copy

from netpol.compiler.ruleset import TableName
from netpol.dataplane.memory.flows import MemoryFlows
from netpol.dataplane.memory.journal import Journal
from netpol.dataplane.memory.sets import MAX_MEMBERS, MemorySets
from netpol.dataplane.memory.tables import MemoryTables
from netpol.dataplane.ownership import Ownership


class MemoryKernel:
    """Sets, tables and flows that know of each other, and one journal of what is done to them.

    `tables` is the filter table; the owner is the firewall, until somebody else looks (`seen_by`).
    """

    def __init__(self, max_members: int = MAX_MEMBERS) -> None:
        self.journal = Journal()
        self.sets = MemorySets(self.journal, max_members)
        self.tables, self.nat, self.mangle = (MemoryTables(self.journal, self.sets, name) for name in TableName)
        self.flows = MemoryFlows(self.journal)
        self.sets.referred_by_rules = self._refers_to_set

    def seen_by(self, ownership: Ownership) -> MemoryKernel:
        """The same kernel, as another writer has it."""
        other = copy(self)
        other.sets = self.sets.seen_by(ownership)
        other.tables, other.nat, other.mangle = (
            table.seen_by(ownership) for table in (self.tables, self.nat, self.mangle)
        )
        return other

    def _refers_to_set(self, name: str) -> bool:
        return any(table.refers_to_set(name) for table in (self.tables, self.nat, self.mangle))
