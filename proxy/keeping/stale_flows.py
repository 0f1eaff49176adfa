"""Connections that conntrack remembers, and that no service has made or sends there any more."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from netpol.dataplane.kernel import Flow, Flows
from netpol.model.networks import Address, Family, family_of
from netpol.model.ports import Protocol
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
        reached = {(key.protocol, *destination) for key, destination in self._stale}
        flows = self._touching({key.address for key, _ in self._stale})
        forgotten = self._delete([each for each in flows if (each.protocol, each.destination, each.port) in reached])
        self._stale.clear()
        return forgotten

    def forget_others(self, served: Mapping[ServerAddress, Collection[Destination]]) -> int:
        """Of datagrams to these servers, those are forgotten that went where the server sends none; returns how many.

        What was to be forgotten when an agent was killed is not known any more. Raises KernelRefusal.
        """
        asked = {
            (key.address, key.port): frozenset(each) for key, each in served.items() if key.protocol is Protocol.UDP
        }
        if not asked:
            return 0
        return self._delete(
            [
                each
                for each in self._touching({address for address, _ in asked})
                if each.protocol is Protocol.UDP
                and each.asked in asked
                and (each.destination, each.port) not in asked[each.asked]
            ]
        )

    def _touching(self, addresses: Collection[Address]) -> Iterable[Flow]:
        families = sorted({family_of(each) for each in addresses}, key=lambda each: each.value)
        return self._flows.read(*families, touching=addresses)

    def _delete(self, flows: Collection[Flow]) -> int:
        for family in Family:
            if own := [each for each in flows if family_of(each.destination) is family]:
                self._flows.delete(family, own)
        return len(flows)
