"""The kernel in memory as a whole."""

from __future__ import annotations

from netpol.dataplane.memory.flows import MemoryFlows
from netpol.dataplane.memory.journal import Journal
from netpol.dataplane.memory.sets import MAX_MEMBERS, MemorySets
from netpol.dataplane.memory.tables import MemoryTables


class MemoryKernel:
    """Sets, tables and flows that know of each other, and one journal of what is done to them."""

    def __init__(self, max_members: int = MAX_MEMBERS) -> None:
        self.journal = Journal()
        self.sets = MemorySets(self.journal, max_members)
        self.tables = MemoryTables(self.journal, self.sets)
        self.flows = MemoryFlows(self.journal)
        self.sets.referred_by_rules = self.tables.refers_to_set
