"""What a node's proxy should hold, kept while services, their endpoints and nodes change.

    facts -> claims: what each service may have ──┐
          -> direct returns: who may be marked ───┼-> served: what each touched service asks for -> desired
          -> endpoints of each service ───────────┘

A service is made anew where the service itself, its endpoints or what it may have has changed, and all of them
where this node has: its zone, or its addresses for node ports. The state depends on the present only, but that what
is known of this node outlives its object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from netpol.compiler.ruleset import IpSet, Table, TableName
from netpol.model.facts import Fact, Key, Kind
from netpol.model.networks import Address, Family
from netpol.model.notices import Notice
from netpol.model.objects import Node
from netpol.model.services import EndpointGroup, EndpointSlice, Service
from netpol.model.snapshot import ObjectName
from netpol.settings import ProxySettings
from proxy.claims.circular_endpoints import CircularEndpoints
from proxy.claims.claims import Claims, Granted
from proxy.model import ServerKey, VirtualServer
from proxy.services.desired import NOTHING, Desired, Touched
from proxy.services.direct_return import DirectReturns, Wish, wish_of
from proxy.services.endpoints import NodeTopology
from proxy.services.served import HealthCheck, Served, ThisNode, node_port_addresses, serve

__all__ = ["ProxyEngine", "Touched"]

CIRCULAR = "is a service's own address: nothing is sent on from one to another"
"""Why an endpoint is passed over."""

_TYPES: dict[Kind, type] = {Kind.SERVICE: Service, Kind.ENDPOINT_SLICE: EndpointSlice, Kind.NODE: Node}


class ProxyEngine:
    """The desired state of the node of this name, by the facts applied so far.

    There are sets and tables of these families, and of no others. What the properties return are views, which
    change with what is told next.
    """

    def __init__(self, node_name: str, families: tuple[Family, ...], settings: ProxySettings) -> None:
        self._name, self._settings = node_name, settings
        self._services: dict[ObjectName, Service] = {}
        self._slices: dict[ObjectName, EndpointSlice] = {}
        self._slices_by_service: dict[ObjectName, dict[ObjectName, EndpointSlice]] = {}
        self._own: Node | None = None
        self._own_addresses: frozenset[Address] = frozenset()
        self._node = ThisNode(NodeTopology(node_name), families, settings)
        self._claims = Claims(settings)
        self._direct_returns = DirectReturns()
        self._circular = CircularEndpoints()
        self._desired = Desired(families, settings)

    # --- what there is

    @property
    def servers(self) -> Mapping[ServerKey, VirtualServer]:
        """All virtual servers."""
        return self._desired.servers

    @property
    def addresses(self) -> frozenset[Address]:
        """The addresses that the link should have."""
        return self._desired.addresses

    def sets(self) -> Mapping[str, IpSet]:
        """All sets, of every family."""
        return self._desired.sets

    def tables(self) -> Mapping[TableName, Mapping[Family, Table]]:
        """All tables, of every family."""
        return self._desired.tables

    @property
    def health_checks(self) -> Mapping[ObjectName, HealthCheck]:
        """The health checks that load balancers ask for, by service."""
        return self._desired.health_checks

    @property
    def tunnels(self) -> Mapping[Address, frozenset[Address]]:
        """The service addresses that each pod of this node answers for directly."""
        return self._desired.tunnels

    @property
    def notices(self) -> Mapping[ObjectName, tuple[Notice, ...]]:
        """What services do not get that they ask for, by service."""
        return self._desired.notices

    @property
    def served(self) -> Mapping[ObjectName, Served]:
        """What each service asks of this node; a headless one asks for nothing and is not there."""
        return self._desired.served

    def service(self, name: ObjectName) -> Service | None:
        """The service of this name; None where there is none."""
        return self._services.get(name)

    # --- what changes

    def apply(self, facts: Iterable[Fact]) -> Touched:
        """The facts are true, of several about one object the last; returns what has changed of the desired state.

        Facts of other kinds are passed over. TypeError, and nothing has changed, where a value is not of its kind.
        """
        latest = {fact.key: fact.value for fact in facts}
        for key, value in latest.items():
            _check(key, value)
        touched: set[ObjectName] = set()
        for key, value in latest.items():
            match key.kind, value:
                case Kind.SERVICE, Service() | None:
                    touched |= self._put_service(key.object_name, value)
                case Kind.ENDPOINT_SLICE, EndpointSlice() | None:
                    touched |= self._put_slice(key.object_name, value)
                case Kind.NODE, Node() | None:
                    touched |= self._put_node(key.name, value)
        return self._serve(touched)

    def set_node_addresses(self, addresses: frozenset[Address]) -> Touched:
        """These are the addresses of this network namespace, but for those on the service link."""
        self._own_addresses = addresses
        return self._serve(self._claims.set_own_addresses(addresses) | self._settle_down())

    def set_unavailable(self, schedulers: frozenset[str]) -> Touched:
        """The kernel has none of these schedulers: who asks for one gets the default, and a notice."""
        other = schedulers ^ self._node.unavailable
        self._node = replace(self._node, unavailable=schedulers)
        return self._serve({name for name, service in self._services.items() if service.scheduler in other})

    def _put_service(self, name: ObjectName, service: Service | None) -> set[ObjectName]:
        if self._services.get(name) == service:
            return set()
        if service is None:
            del self._services[name]
        else:
            self._services[name] = service
        return {name, *self._claims.put(name, service)}

    def _put_slice(self, name: ObjectName, after: EndpointSlice | None) -> set[ObjectName]:
        before = self._slices.pop(name, None)
        if after is not None:
            self._slices[name] = after
        if before == after:
            return set()
        self._circular.put(name, before, after)
        concerned: set[ObjectName] = set()
        if before is not None:
            service = before.namespace, before.service
            concerned.add(service)
            slices = self._slices_by_service[service]
            del slices[name]
            if not slices:
                del self._slices_by_service[service]
        if after is not None:
            service = after.namespace, after.service
            concerned.add(service)
            self._slices_by_service.setdefault(service, {})[name] = after
        return concerned & self._services.keys()

    def _put_node(self, name: str, node: Node | None) -> frozenset[ObjectName]:
        """Another node only matters for what is its own, and so no service's.

        This one is here, so where its object is gone, what that said last is true: kubelet registers it again.
        """
        if name != self._name:
            return self._claims.place_node(name, node)
        if node is None:
            return frozenset()
        self._own = node
        self._desired.put_pod_ranges(node.pod_cidrs)
        return self._claims.place_node(name, node) | self._settle_down()

    def _settle_down(self) -> frozenset[ObjectName]:
        """What is said of this node is so; returns the services that depend on it."""
        topology = NodeTopology(self._name, "" if self._own is None else self._own.zone)
        families = self._node.families
        addresses = node_port_addresses(self._own, self._own_addresses, families, self._settings)
        own = self._own_addresses.union(() if self._own is None else self._own.addresses)
        settled = replace(self._node, topology=topology, addresses=addresses, own=own)
        if settled == self._node:
            return frozenset()
        self._node = settled
        return frozenset(self._services)

    def _serve(self, touched: Iterable[ObjectName]) -> Touched:
        """These services ask for what they ask for now, and those with them that share marks or addresses."""
        granted = {name: self._claims.granted(name) for name in touched}
        for other in self._circular.grant(granted) & self._services.keys() - granted.keys():
            granted[other] = self._claims.granted(other)
        for name in tuple(granted):
            wish = self._wish(name, granted[name])
            for other in self._direct_returns.put(name, wish) - granted.keys():
                granted[other] = self._claims.granted(other)
        for name, each in granted.items():
            self._desired.put(name, self._served_to(name, each))
        return self._desired.changed()

    def _wish(self, name: ObjectName, granted: Granted) -> Wish | None:
        service = self._services.get(name)
        return None if service is None else wish_of(service, self._groups(name), granted, self._node.families)

    def _served_to(self, name: ObjectName, granted: Granted) -> Served:
        service = self._services.get(name)
        if service is None:
            return NOTHING
        served = serve(service, self._groups(name), granted, self._node, self._direct_returns.obstacle(name))
        passed_over = self._circular.among(self._all_groups(name))
        notices = (Notice("Service", *name, "endpoints", f"{each} {CIRCULAR}") for each in passed_over)
        return replace(served, notices=(*served.notices, *notices)) if passed_over else served

    def _groups(self, name: ObjectName) -> list[EndpointGroup]:
        """The service's endpoints, but for those at addresses of services."""
        return list(self._circular.without(self._all_groups(name)))

    def _all_groups(self, name: ObjectName) -> list[EndpointGroup]:
        """The service's endpoints, in the order of their slices' names."""
        slices = self._slices_by_service.get(name, {})
        return [group for each in sorted(slices) for group in slices[each].groups]


def _check(key: Key, value: object | None) -> None:
    kind = _TYPES.get(key.kind)
    if kind is not None and value is not None and not isinstance(value, kind):
        raise TypeError(f"{key} is no {type(value).__name__}")
