"""Which node has an address, kept while nodes and their hostNetwork pods come, change and go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from netpol.model.change import Change
from netpol.model.networks import Address
from netpol.model.objects import Node, Pod
from netpol.model.snapshot import ObjectName
from netpol.policy.lookups import known_node, tells_of_its_node


class NodeIndex:
    """The nodes by address: `Lookups.nodes_by_address` of objects that change."""

    def __init__(self) -> None:
        self._stated: dict[str, Node] = {}
        self._pods: dict[str, dict[ObjectName, Pod]] = {}
        self._known: dict[str, Node] = {}
        self._claims: dict[Address, dict[str, Node]] = {}
        self._by_address: dict[Address, Node] = {}

    @property
    def by_address(self) -> Mapping[Address, Node]:
        """The node that has the address, the first by name of several."""
        return self._by_address

    def replace(self, nodes: Iterable[Change[Node]], pods: Iterable[Change[Pod]]) -> dict[Address, Node | None]:
        """The objects are as the changes leave them; returns who had each address that this concerns, None for nobody.

        Many of them have the same node as before.
        """
        concerned: dict[str, None] = {}
        for before, after in nodes:
            if before is not None:
                del self._stated[before.name]
                concerned[before.name] = None
            if after is not None:
                self._stated[after.name] = after
                concerned[after.name] = None
        for old, new in pods:
            if old is not None and tells_of_its_node(old):
                del self._pods[old.node][old.namespace, old.name]
                concerned[old.node] = None
            if new is not None and tells_of_its_node(new):
                self._pods.setdefault(new.node, {})[new.namespace, new.name] = new
                concerned[new.node] = None
        former: dict[Address, Node | None] = {}
        for name in concerned:
            self._know(name, former)
        return former

    def _know(self, name: str, former: dict[Address, Node | None]) -> None:
        """The node's addresses are those that it and its pods tell of; who had each before is noted once."""
        before = self._known.pop(name, None)
        for address in () if before is None else before.addresses:
            former.setdefault(address, self._by_address.get(address))
            del self._claims[address][name]
            self._decide(address)
        pods = self._pods.get(name, {})
        if not pods:
            self._pods.pop(name, None)
        after = known_node(name, self._stated.get(name), pods.values())
        if after.addresses:
            self._known[name] = after
        for address in after.addresses:
            former.setdefault(address, self._by_address.get(address))
            self._claims.setdefault(address, {})[name] = after
            self._decide(address)

    def _decide(self, address: Address) -> None:
        claims = self._claims[address]
        if claims:
            self._by_address[address] = claims[min(claims)]
        else:
            del self._claims[address], self._by_address[address]
