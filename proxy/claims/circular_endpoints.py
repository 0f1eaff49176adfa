"""Endpoints that are said to be at the address of a service, where no pod is.

Such an address is this node's own, on the service link. What IPVS sends there it hands up where it is: to whoever
listens on the node, and with no OUTPUT in which a policy could judge it (X5).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from netpol.model.networks import Address
from netpol.model.services import EndpointGroup, EndpointSlice
from netpol.model.snapshot import ObjectName
from proxy.claims.claims import Granted


class CircularEndpoints:
    """Who has an endpoint at which address, and which addresses are services'."""

    def __init__(self) -> None:
        self._granted: dict[ObjectName, frozenset[Address]] = {}
        self._services: dict[Address, set[ObjectName]] = {}
        self._slices: dict[Address, set[tuple[ObjectName, ObjectName]]] = {}

    def put(self, name: ObjectName, before: EndpointSlice | None, after: EndpointSlice | None) -> None:
        """The slice of this name says where endpoints are."""
        former, latter = _placed(name, before), _placed(name, after)
        for address, entry in former - latter:
            entries = self._slices[address]
            entries.discard(entry)
            if not entries:
                del self._slices[address]
        for address, entry in latter - former:
            self._slices.setdefault(address, set()).add(entry)

    def grant(self, granted: Mapping[ObjectName, Granted]) -> set[ObjectName]:
        """The services have these addresses; returns who has endpoints at one that came to be, or is not any more."""
        concerned: set[ObjectName] = set()
        for name, each in granted.items():
            before = self._granted.pop(name, frozenset())
            after = frozenset(key.address for key in each.servers)
            if after:
                self._granted[name] = after
            for address in before ^ after:
                if self._move(name, address, is_granted=address in after):
                    concerned.update(service for _, service in self._slices.get(address, ()))
        return concerned

    def among(self, groups: Iterable[EndpointGroup]) -> list[Address]:
        """The addresses of these endpoints that are services'."""
        found = {each.address for group in groups for each in group.endpoints if each.address in self._services}
        return sorted(found, key=lambda each: (each.version, each.packed))

    def without(self, groups: Iterable[EndpointGroup]) -> Iterator[EndpointGroup]:
        """The groups, of the endpoints elsewhere."""
        for group in groups:
            elsewhere = tuple(each for each in group.endpoints if each.address not in self._services)
            yield group if len(elsewhere) == len(group.endpoints) else replace(group, endpoints=elsewhere)

    def _move(self, name: ObjectName, address: Address, *, is_granted: bool) -> bool:
        """True where the address is a service's since, or none's."""
        services = self._services.setdefault(address, set())
        was_granted = bool(services)
        (services.add if is_granted else services.discard)(name)
        if not services:
            del self._services[address]
        return was_granted is not bool(services)


def _placed(name: ObjectName, found: EndpointSlice | None) -> set[tuple[Address, tuple[ObjectName, ObjectName]]]:
    """Each address of the slice's endpoints, with the slice's name and the service's."""
    if found is None:
        return set()
    entry = name, (found.namespace, found.service)
    return {(each.address, entry) for group in found.groups for each in group.endpoints}
