"""What one service asks of this node, as one value."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from netpol.compiler.names import services_set
from netpol.compiler.ruleset import Member
from netpol.model.networks import Address, Family, family_of
from netpol.model.notices import Notice
from netpol.model.objects import Node
from netpol.model.service_annotations import ServiceAnnotation
from netpol.model.services import EndpointGroup, Service, ServicePort, TrafficPolicy
from netpol.settings import ProxySettings
from proxy import names
from proxy.claims.claims import Granted
from proxy.model import (
    DEFAULT_SCHEDULER,
    Destination,
    Forwarding,
    Origin,
    Scheduling,
    ServerAddress,
    ServerKey,
    ServerMark,
    VirtualServer,
)
from proxy.services.direct_return import mark_of
from proxy.services.endpoints import ChosenEndpoints, NodeTopology, choose, ready_on_node
from proxy.services.rules import admitted, endpoint_of, port_of, to_itself


class Return(enum.Enum):
    """How a client outside gets its answers."""

    DIRECT = enum.auto()
    """From the endpoint, past this node."""
    TRANSLATED = enum.auto()
    """Through this node, where the endpoint's address becomes the service's again."""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A port where load balancers ask this node whether it has endpoints of the service, and how many are ready."""

    port: int
    local_endpoints: int


@dataclass(frozen=True, slots=True)
class ThisNode:
    """What of the node decides how services are served on it.

    `addresses` are those of its node ports, and `own` all that it has. `unavailable` are schedulers that its kernel
    does not have.
    """

    topology: NodeTopology
    families: tuple[Family, ...]
    settings: ProxySettings
    addresses: frozenset[Address] = frozenset()
    own: frozenset[Address] = frozenset()
    unavailable: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Served:
    """What one service asks of this node.

    `addresses` are for the link. `members` are of sets by name, but for the record of what is ours, which the
    servers themselves make. `keeping` are the servers whose endpoints see the client's address. `marks` are put on
    packets to what they stand for. `tunnels` are the service addresses by the pods of this node that answer for
    them directly.
    """

    servers: Mapping[ServerKey, VirtualServer] = field(default_factory=dict)
    addresses: frozenset[Address] = frozenset()
    members: Mapping[str, frozenset[Member]] = field(default_factory=dict)
    keeping: frozenset[ServerAddress] = frozenset()
    marks: Mapping[ServerMark, ServerAddress] = field(default_factory=dict)
    tunnels: Mapping[Address, frozenset[Address]] = field(default_factory=dict)
    health_check: HealthCheck | None = None
    notices: tuple[Notice, ...] = ()


def node_port_addresses(
    node: Node | None, own: Collection[Address], families: Iterable[Family], settings: ProxySettings
) -> frozenset[Address]:
    """The addresses that this node's node ports are served on.

    Of each family it is the first that the Node object tells others of and that is here, be it in another network
    namespace or not known yet the first of them all; or it is every one that others can reach.
    """
    if settings.node_ports_on_all_addresses:
        return frozenset(each for each in own if not each.is_loopback and not each.is_link_local)
    found: set[Address] = set()
    for family in families:
        stated = [] if node is None else [each for each in node.addresses if family_of(each) is family]
        found.update(([each for each in stated if each in own] or stated)[:1])
    return frozenset(found)


def serve(
    service: Service, groups: Sequence[EndpointGroup], granted: Granted, node: ThisNode, obstacle: str = ""
) -> Served:
    """What the service asks of the node, with the addresses and ports that it is granted.

    A port without endpoints has its virtual servers, with whatever drains, and its clients are refused. `obstacle`
    is why the service is not answered directly where it asks for that.
    """
    if not service.cluster_addresses:
        return Served(notices=granted.notices)
    draft = _Draft(
        service, groups, node, Return.DIRECT if service.direct_return and not obstacle else Return.TRANSLATED
    )
    for key, grant in granted.servers.items():
        draft.add(key, grant.port, grant.origin)
    for port in granted.node_ports:
        if port.node_port is not None:
            for address in node.addresses:
                draft.add(ServerAddress(address, port.protocol, port.node_port), port, Origin.NODE_PORT)
    return draft.served((*granted.notices, *_notices(service, node, obstacle)))


class _Draft:
    """What a service asks of this node, gathered server by server."""

    def __init__(self, service: Service, groups: Sequence[EndpointGroup], node: ThisNode, answers: Return) -> None:
        self._service, self._groups, self._node, self._return = service, groups, node, answers
        self._choices: dict[tuple[ServicePort, Family, TrafficPolicy], ChosenEndpoints] = {}
        self._handed_up: dict[frozenset[Destination], bool] = {}
        """Asked once for all servers with the same endpoints: to hash an address takes longer than all else."""
        self._scheduling = _scheduling(service, node.unavailable)
        self._may_reach_itself = service.hairpin or node.settings.hairpin
        self._servers: dict[ServerKey, VirtualServer] = {}
        self._addresses: set[Address] = set()
        self._members: dict[str, set[Member]] = {}
        self._keeping: set[ServerAddress] = set()
        self._marks: dict[ServerMark, ServerAddress] = {}
        self._tunnels: dict[Address, set[Address]] = {}

    def add(self, key: ServerAddress, port: ServicePort, origin: Origin) -> None:
        """The service's port has this virtual server, where the family is served."""
        if key.family not in self._node.families:
            return
        choice = self._choose(port, key.family, origin)
        if not choice.destinations:
            self._member(names.empty_set(key.family), port_of(key))
        if self._return is Return.DIRECT and origin.has_outside_address:
            self._answer_directly(key, port, origin, choice)
        else:
            self._translate(key, port, origin, choice)
        if origin is Origin.LOAD_BALANCER:
            self._restrict(key)

    def served(self, notices: tuple[Notice, ...]) -> Served:
        """All that was added, with these notices."""
        service = self._service
        health_check = None
        if service.external_policy is TrafficPolicy.LOCAL and service.health_check_node_port is not None:
            ready = ready_on_node(self._groups, self._node.families, self._node.topology)
            health_check = HealthCheck(service.health_check_node_port, ready)
        return Served(
            servers=self._servers,
            addresses=frozenset(self._addresses),
            members={name: frozenset(members) for name, members in self._members.items()},
            keeping=frozenset(self._keeping),
            marks=self._marks,
            tunnels={pod: frozenset(addresses) for pod, addresses in self._tunnels.items()},
            health_check=health_check,
            notices=notices,
        )

    def _translate(self, key: ServerAddress, port: ServicePort, origin: Origin, choice: ChosenEndpoints) -> None:
        """Where the endpoints are on this node anyhow, those from outside are seen by them as who they are (X4).

        What IPVS hands to a listener of the node itself is never sent on, so that nothing judges it after the
        translation: a server that may do that is judged before, by its own address (X5).
        """
        family = key.family
        self._server(key, port, origin, choice, Forwarding.MASQUERADE)
        self._member(names.served_set(family), port_of(key))
        if not self._is_handed_up(choice):
            self._member(services_set(family), port_of(key))
        if origin is not Origin.NODE_PORT:
            self._addresses.add(key.address)
            self._member(names.addresses_set(family), key.address.packed)
        if self._may_reach_itself:
            for each in choice.local:
                self._member(names.hairpin_set(family), to_itself(each, key.protocol))
        if origin.takes_external_traffic and self._service.external_policy is TrafficPolicy.LOCAL:
            self._keeping.add(key)
            for each in choice.local:
                self._member(names.local_set(family), endpoint_of(each, key.protocol))

    def _is_handed_up(self, choice: ChosenEndpoints) -> bool:
        """True where a listener of the node itself is among the endpoints."""
        where = choice.destinations
        if where not in self._handed_up:
            self._handed_up[where] = any(each.address in self._node.own for each in where)
        return self._handed_up[where]

    def _answer_directly(self, key: ServerAddress, port: ServicePort, origin: Origin, choice: ChosenEndpoints) -> None:
        """The address is not the node's own, for then the kernel would drop what endpoints here answer."""
        mark = mark_of(key)
        self._server(mark, port, origin, choice, Forwarding.TUNNEL)
        self._servers[mark] = replace(self._servers[mark], marked=key)
        self._marks[mark] = key
        for each in choice.local:
            self._tunnels.setdefault(each.address, set()).add(key.address)

    def _restrict(self, key: ServerAddress) -> None:
        """Only who is in a source range may use the server, be it that no range could be read."""
        ranges = self._service.source_ranges
        if ranges is not None:
            self._member(names.restricted_set(key.family), port_of(key))
            for each in ranges:
                for member in admitted(key, each):
                    self._member(names.sources_set(key.family), member)

    def _server(
        self, key: ServerKey, port: ServicePort, origin: Origin, choice: ChosenEndpoints, forwarding: Forwarding
    ) -> None:
        title = f"{self._service}:{port.name or port.number}"
        self._servers[key] = VirtualServer(key, origin, self._scheduling, choice.destinations, forwarding, title)

    def _member(self, name: str, member: Member) -> None:
        self._members.setdefault(name, set()).add(member)

    def _choose(self, port: ServicePort, family: Family, origin: Origin) -> ChosenEndpoints:
        service = self._service
        policy = service.external_policy if origin.takes_external_traffic else service.internal_policy
        question = port, family, policy
        if question not in self._choices:
            self._choices[question] = choose(self._groups, port, family, policy, self._node.topology)
        return self._choices[question]


def _scheduling(service: Service, unavailable: Collection[str]) -> Scheduling:
    """As the service asks; the default, and its flags with it, where the kernel has no such scheduler."""
    if service.scheduler in unavailable:
        return Scheduling(persistence_seconds=service.affinity_seconds)
    return Scheduling(service.scheduler or DEFAULT_SCHEDULER, service.scheduler_flags, service.affinity_seconds)


def _notices(service: Service, node: ThisNode, obstacle: str) -> Iterator[Notice]:
    if service.scheduler in node.unavailable:
        instead = f"the kernel has no scheduler {service.scheduler!r}: {DEFAULT_SCHEDULER} is used instead"
        yield Notice("Service", service.namespace, service.name, ServiceAnnotation.SCHEDULER.field, instead)
    if obstacle:
        instead = f"{obstacle}: it is served by translation instead"
        yield Notice("Service", service.namespace, service.name, ServiceAnnotation.DIRECT_RETURN.field, instead)
