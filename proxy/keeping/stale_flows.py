"""Connections that conntrack remembers, and that no service has made or sends there any more."""

from __future__ import annotations

from collections.abc import Iterable

from netpol.dataplane.kernel import Flows
from netpol.model.networks import family_of
from proxy.model import Destination, ServerAddress, ServerDestination


class StaleFlows:
    """What is to be forgotten, until it is: a client that sends on would never be answered, or never be judged.

    A flow tells whom it reached, and not by which port of a service: all that a service's address sent there are
    forgotten, and one that another port sends there too begins anew.
    """

    def __init__(self, flows: Flows) -> None:
        self._flows = flows
        self._stale: set[tuple[ServerAddress, Destination]] = set()

    def add(self, pairs: Iterable[ServerDestination]) -> None:
        """What has the protocol of the server, and goes there, is to be forgotten when it is time to."""
        self._stale.update((key, destination) for key, destination in pairs if isinstance(key, ServerAddress))

    def forget(self) -> int:
        """How many were forgotten. Raises KernelRefusal; then they are to be forgotten still."""
        if not self._stale:
            return 0
        asked = {key.address for key, _ in self._stale}
        reached = {(key.protocol, *destination) for key, destination in self._stale}
        families = sorted({family_of(each) for each in asked}, key=lambda each: each.value)
        flows = self._flows.read(*families, touching=asked)
        found = [each for each in flows if (each.protocol, each.destination, each.port) in reached]
        for family in families:
            if own := [each for each in found if family_of(each.destination) is family]:
                self._flows.delete(family, own)
        self._stale.clear()
        return len(found)
