"""The connection table in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from netpol.dataplane.kernel import Flow
from netpol.dataplane.memory.journal import Journal
from netpol.model.networks import Address, Family


class _Opened(NamedTuple):
    flow: Flow
    to: Address


class MemoryFlows:
    """`kernel.Flows`; a test opens connections by `open`."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._flows: dict[Family, dict[bytes, _Opened]] = {family: {} for family in Family}

    def open(self, family: Family, flow: Flow, opened_to: Address | None = None) -> None:
        """The connection is established; its handle is like no other's of the family.

        `opened_to` is the address it was opened to, where that was translated into another.
        """
        self._flows[family][flow.handle] = _Opened(flow, opened_to or flow.destination)

    def read(self, *families: Family, touching: Collection[Address] | None = None) -> Sequence[Flow]:
        """Every flow of the families, or those with one of these addresses at an end."""
        return tuple(
            flow
            for family in families
            for flow, opened_to in self._flows[family].values()
            if touching is None or not {flow.source, flow.destination, opened_to}.isdisjoint(touching)
        )

    def delete(self, family: Family, flows: Iterable[Flow]) -> None:
        """Forget these flows; those already gone are no error."""
        for flow in flows:
            self._journal.enter(f"delete flow {flow.source} to {flow.destination}")
            self._flows[family].pop(flow.handle, None)
