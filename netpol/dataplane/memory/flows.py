"""The connection table in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from netpol.dataplane.kernel import Flow
from netpol.dataplane.memory.journal import Journal
from netpol.model.networks import Family


class MemoryFlows:
    """`kernel.Flows`; a test opens connections by `open`."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._flows: dict[Family, dict[bytes, Flow]] = {family: {} for family in Family}

    def open(self, family: Family, flow: Flow) -> None:
        """The connection is established; its handle is like no other's of the family."""
        self._flows[family][flow.handle] = flow

    def read(self, family: Family) -> Sequence[Flow]:
        """Every flow of the family."""
        return tuple(self._flows[family].values())

    def delete(self, family: Family, flows: Iterable[Flow]) -> None:
        """Forget these flows; those already gone are no error."""
        for flow in flows:
            self._journal.enter(f"delete flow {flow.source} to {flow.destination}")
            self._flows[family].pop(flow.handle, None)
