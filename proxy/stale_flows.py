"""Connections of datagrams that conntrack goes on sending where no service sends them any more."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from netpol.dataplane.kernel import Flow, Flows
from netpol.model.networks import Address, family_of
from netpol.model.ports import Protocol
from proxy.model import ServerAddress
from proxy.plan import Route


class StaleFlows:
    """What is to be forgotten, until it is: a client that sends on would never be answered.

    A flow tells whom it reached, and not by which port of a service: all that a service's address sent there are
    forgotten, and one that another port sends there too begins anew.
    """

    def __init__(self, flows: Flows) -> None:
        self._flows = flows
        self._routes: set[Route] = set()

    def add(self, routes: Iterable[Route]) -> None:
        """These are to be forgotten, once the servers are as they should be."""
        self._routes.update(routes)

    def forget(self) -> int:
        """How many were forgotten. Raises KernelRefusal; then they are to be forgotten still."""
        asked = {route.key.address for route in self._routes if isinstance(route.key, ServerAddress)}
        if not asked:
            return 0
        reached = {(route.destination.address, route.destination.port) for route in self._routes}
        families = sorted({family_of(each) for each in asked}, key=lambda each: each.value)
        found = [each for each in self._flows.read(*families, touching=asked) if _reaches(each, reached)]
        for family in families:
            if own := [each for each in found if family_of(each.destination) is family]:
                self._flows.delete(family, own)
        self._routes.clear()
        return len(found)


def _reaches(flow: Flow, destinations: Collection[tuple[Address, int]]) -> bool:
    return flow.protocol is Protocol.UDP and (flow.destination, flow.port) in destinations
