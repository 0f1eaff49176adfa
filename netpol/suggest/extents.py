"""What a pod is asked of a connection, and the oracles that answer: one for each extent of the policies (X16)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from netpol.model.policies import Direction
from netpol.model.ports import ProtocolPort
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import Extent
from netpol.policy.judgement import Connection, Decision, End, PodEnd
from netpol.policy.lookups import Lookups
from netpol.policy.verdict import Oracle

Oracles = Mapping[Extent, Oracle]


def by_extent(snapshot: Snapshot, lookups: Lookups) -> Oracles:
    """The snapshot's oracles; `lookups` are its own."""
    return {extent: Oracle(snapshot, lookups, extent=extent) for extent in Extent}


@dataclass(frozen=True, slots=True)
class AskedSide:
    """One side of a connection: that of a pod which lets it out, or in."""

    direction: Direction
    subject: PodEnd
    peer: End
    port: ProtocolPort

    @property
    def connection(self) -> Connection:
        """The connection that it is a side of."""
        if self.direction is Direction.INGRESS:
            return Connection(self.peer, self.subject, self.port.protocol, self.port.port)
        return Connection(self.subject, self.peer, self.port.protocol, self.port.port)

    def answer(self, oracle: Oracle) -> Decision:
        """What the oracle says of this side."""
        return oracle.decide(self.direction, self.connection)
