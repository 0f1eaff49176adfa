"""Which addresses and node ports each service may have, where any tenant can ask for any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from netpol.listing import listed
from netpol.model.networks import Address
from netpol.model.notices import Notice
from netpol.model.objects import Node
from netpol.model.ports import Protocol
from netpol.model.services import Service, ServicePort
from netpol.model.snapshot import ObjectName
from netpol.settings import AddressRanges, ProxySettings
from proxy.claims.address_order import AddressOrder
from proxy.claims.seniority import Rank, Seniority
from proxy.claims.special_addresses import speciality
from proxy.claims.territory import Territory
from proxy.model import Origin, ServerAddress

_MOST_RANGES = 3
"""In a sentence."""


class Grant(NamedTuple):
    """What a service has one of its virtual servers for, and which of its ports that serves."""

    origin: Origin
    port: ServicePort


@dataclass(frozen=True, slots=True)
class Granted:
    """What a service may have: virtual servers of both families, ports that have node ports; a notice of what not."""

    servers: Mapping[ServerAddress, Grant] = field(default_factory=dict)
    node_ports: tuple[ServicePort, ...] = ()
    notices: tuple[Notice, ...] = ()


class _Claim(NamedTuple):
    """An address that a service asks for, and the field that says so."""

    origin: Origin
    address: Address
    field: str


class _AddressStake(NamedTuple):
    """To have an address, so that others are refused it."""

    origin: Origin
    address: Address


class _ServerStake(NamedTuple):
    """To have a virtual server: as an external one among the services of a namespace, else among all."""

    origin: Origin
    server: ServerAddress
    namespace: str


class _NodePortStake(NamedTuple):
    """To have a node port."""

    protocol: Protocol
    number: int

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol.value}"


_Problem = tuple[str, str]
"""A field, and what is wrong with it."""

_Stake = _AddressStake | _ServerStake | _NodePortStake

_CONTESTABLE = (Origin.LOAD_BALANCER, Origin.EXTERNAL)
_CONCERNED = {
    Origin.CLUSTER: (Origin.CLUSTER, *_CONTESTABLE),
    Origin.LOAD_BALANCER: (Origin.EXTERNAL,),
    Origin.EXTERNAL: (Origin.EXTERNAL,),
}
"""Whose claims to an address depend on who is the first that has it by origin."""


class Claims:
    """The claims of all services, judged by these rules; a notice gives the first that an address fails.

    | what is claimed | is refused where |
    |---|---|
    | a cluster address | it is another service's, which comes first; no range is asked, for the API server gave it |
    | an external or a load balancer's address | it is a cluster address of any service |
    | | no host can have it for itself: loopback, multicast and such |
    | | it is in the range of cluster addresses |
    | | it is a node's or this network namespace's, or in a range of pods |
    | | it is in none of the ranges of its kind, where there are any |
    | an external address | it is a load balancer's address of another service (CVE-2020-8554) |
    | | it is an external one of another namespace's service, which comes first |
    | a port of an address | it is another service's with the same origin, which comes first |
    | a node port | it is not in the range of those, or another service's, which comes first |

    Who comes first is the older (`Rank`); whenever it goes, the next one does. Only controllers write load
    balancers' addresses, but any tenant external ones: those give way whatever the port, and only services of one
    namespace share one. What a service claims twice it claims once, as its cluster address before its load
    balancer's before its external one. Without cluster addresses it claims nothing. Without `strict` no range of
    services or node ports is asked.
    """

    def __init__(self, settings: ProxySettings) -> None:
        self._ranges = settings.ranges
        self._territory = Territory(settings.cluster_cidrs)
        self._services: dict[ObjectName, Service] = {}
        self._stakes: Seniority[_Stake] = Seniority()
        self._contested = AddressOrder()

    # --- facts: each returns the services that may be granted something else from then on

    def put(self, name: ObjectName, service: Service | None) -> frozenset[ObjectName]:
        """The service is this, None being that there is none."""
        former = self._services.pop(name, None)
        if service is not None:
            self._services[name] = service
        if service == former:
            return frozenset()
        before, after = _stakes(former), _stakes(service)
        if former is not None and service is not None and Rank.of(former) == Rank.of(service):
            before, after = before - after, after - before
        touched = {name}
        if former is not None:
            touched.update(self._withdraw(before, Rank.of(former)))
        if service is not None:
            touched.update(self._enter(after, Rank.of(service)))
        return frozenset(touched)

    def _withdraw(self, stakes: Iterable[_Stake], rank: Rank) -> Iterator[ObjectName]:
        """A service has these no more; whom it went before is concerned."""
        for stake in stakes:
            if self._stakes.leave(stake, rank):
                yield from self._concerned(stake)
            if isinstance(stake, _AddressStake) and stake.origin in _CONTESTABLE:
                self._contested.discard(stake.address)

    def _enter(self, stakes: Iterable[_Stake], rank: Rank) -> Iterator[ObjectName]:
        """A service has these too; whom it goes before is concerned."""
        for stake in stakes:
            if self._stakes.join(stake, rank):
                yield from self._concerned(stake)
            if isinstance(stake, _AddressStake) and stake.origin in _CONTESTABLE:
                self._contested.add(stake.address)

    def place_node(self, name: str, node: Node | None) -> frozenset[ObjectName]:
        """The node is this, None being that there is none."""
        ground = self._territory.place_node(name, node)
        return self._claimants(ground.addresses.union(*map(self._contested.inside, ground.networks)))

    def set_own_addresses(self, addresses: frozenset[Address]) -> frozenset[ObjectName]:
        """These are this network namespace's, those aside that are there for services."""
        return self._claimants(self._territory.set_own_addresses(addresses))

    def _concerned(self, stake: _Stake) -> Iterator[ObjectName]:
        """Who depends on which service is the first with this stake."""
        if isinstance(stake, _AddressStake):
            for origin in _CONCERNED[stake.origin]:
                yield from self._stakes.all(_AddressStake(origin, stake.address))
        else:
            yield from self._stakes.all(stake)

    def _claimants(self, addresses: Iterable[Address]) -> frozenset[ObjectName]:
        """The services that ask for one of the addresses, and were not given it by the API server."""
        stakes = (_AddressStake(origin, address) for address in addresses for origin in _CONTESTABLE)
        return frozenset(name for stake in stakes for name in self._stakes.all(stake))

    # --- judgement

    def granted(self, name: ObjectName) -> Granted:
        """What the service may have as of now; nothing where there is no such service."""
        service = self._services.get(name)
        if service is None:
            return Granted()
        servers: dict[ServerAddress, Grant] = {}
        problems: list[_Problem] = []
        for claim in _claims(service):
            refusal = self._refusal(name, claim)
            if refusal is None:
                self._judge_ports(service, claim, servers, problems)
            else:
                problems.append((claim.field, f"{claim.address} is {refusal}"))
        node_ports = tuple(self._node_ports(service, problems))
        notices = (Notice("Service", *name, at, f"{message}; it is not served") for at, message in problems)
        return Granted(servers, node_ports, tuple(notices))

    def _refusal(self, name: ObjectName, claim: _Claim) -> str | None:
        """What the address is that it is refused for; None where it is nothing of the kind."""
        origin, address, _ = claim
        holder = self._ahead(name, _AddressStake(Origin.CLUSTER, address))
        if holder is not None:
            order = f", {_BEFORE}" if origin is Origin.CLUSTER else ""
            return f"the cluster address of {_shown(holder)}{order}"
        if origin is Origin.CLUSTER:
            return None
        return (
            speciality(address)
            or _reserved(address, self._ranges)
            or self._territory.whose(address)
            or _misplaced(address, origin, self._ranges)
            or (self._claimed_before(name, address) if origin is Origin.EXTERNAL else None)
        )

    def _claimed_before(self, name: ObjectName, address: Address) -> str | None:
        """What an external address is to another service whose claim goes before this one's, whatever the port."""
        holder = self._ahead(name, _AddressStake(Origin.LOAD_BALANCER, address))
        if holder is not None:
            return f"the load balancer's address of {_shown(holder)}"
        holder = self._ahead(name, _AddressStake(Origin.EXTERNAL, address))
        if holder is not None and holder[0] != name[0]:
            return f"an external address of {_shown(holder)}, {_BEFORE}"
        return None

    def _judge_ports(
        self, service: Service, claim: _Claim, servers: dict[ServerAddress, Grant], problems: list[_Problem]
    ) -> None:
        """Each port is served on an address that is not refused, or is a problem."""
        for server, port in _servers(service, claim.address).items():
            holder = self._ahead(_name(service), _server_stake(service, claim.origin, server))
            if holder is None:
                servers[server] = Grant(claim.origin, port)
            else:
                problems.append((claim.field, f"port {port} of {claim.address} is {_shown(holder)}'s, {_BEFORE}"))

    def _node_ports(self, service: Service, problems: list[_Problem]) -> Iterator[ServicePort]:
        """The ports that may have their node ports; each other one is a problem."""
        for stake, (at, port) in _with_node_ports(service).items():
            allowed = self._ranges.node_ports
            holder = self._ahead(_name(service), stake)
            if self._ranges.strict and stake.number not in allowed:
                problems.append((at, f"{stake} is outside {allowed}, where node ports are"))
            elif holder is not None:
                problems.append((at, f"{stake} is the node port of {_shown(holder)}, {_BEFORE}"))
            else:
                yield port

    def _ahead(self, name: ObjectName, stake: _Stake) -> ObjectName | None:
        """Who has it before the service; None where nobody else comes first."""
        first = self._stakes.first(stake)
        return None if first == name else first


# --- what a service claims


def _claims(service: Service) -> Iterator[_Claim]:
    """Every address the service asks for, once."""
    told: set[Address] = set()
    # Of a load balancer's entries some name a host, or are not for us: a position among addresses is none of theirs.
    for origin, path, addresses in (
        (Origin.CLUSTER, "spec.clusterIPs[{}]", service.cluster_addresses),
        (Origin.LOAD_BALANCER, "status.loadBalancer.ingress", service.load_balancer_addresses),
        (Origin.EXTERNAL, "spec.externalIPs[{}]", service.external_addresses),
    ):
        for index, address in enumerate(addresses if service.cluster_addresses else ()):
            if address not in told:
                told.add(address)
                yield _Claim(origin, address, path.format(index))


def _servers(service: Service, address: Address) -> dict[ServerAddress, ServicePort]:
    """The virtual servers of the address, and the port that each serves: of equal ones the first."""
    found: dict[ServerAddress, ServicePort] = {}
    for port in service.ports:
        found.setdefault(ServerAddress(address, port.protocol, port.number), port)
    return found


def _with_node_ports(service: Service) -> dict[_NodePortStake, tuple[str, ServicePort]]:
    """Every node port, with the field that asks for it and the port that it leads to: of equal ones the first."""
    found: dict[_NodePortStake, tuple[str, ServicePort]] = {}
    for index, port in enumerate(service.ports if service.cluster_addresses else ()):
        if port.node_port is not None:
            found.setdefault(_NodePortStake(port.protocol, port.node_port), (f"spec.ports[{index}].nodePort", port))
    return found


def _server_stake(service: Service, origin: Origin, server: ServerAddress) -> _ServerStake:
    return _ServerStake(origin, server, service.namespace if origin is Origin.EXTERNAL else "")


def _stakes(service: Service | None) -> frozenset[_Stake]:
    """All that the service wants and others could want too."""
    if service is None:
        return frozenset()
    found: set[_Stake] = {*_with_node_ports(service)}
    for origin, address, _ in _claims(service):
        found.add(_AddressStake(origin, address))
        # Who has a cluster address has all of it.
        if origin is not Origin.CLUSTER:
            found.update(_server_stake(service, origin, server) for server in _servers(service, address))
    return frozenset(found)


def _name(service: Service) -> ObjectName:
    return service.namespace, service.name


# --- words


def _reserved(address: Address, ranges: AddressRanges) -> str | None:
    """Which range of cluster addresses it is in; None where it is in none, or nobody asks."""
    network = next((each for each in ranges.cluster if ranges.strict and address in each), None)
    return None if network is None else f"in {network}, where cluster addresses are"


def _misplaced(address: Address, origin: Origin, ranges: AddressRanges) -> str | None:
    """Which ranges it should be in and is not; None where it is in one, or nobody asks."""
    wanted = ranges.external if origin is Origin.EXTERNAL else ranges.load_balancer
    if not ranges.strict or not wanted or any(address in network for network in wanted):
        return None
    return f"outside {listed(wanted, _MOST_RANGES)}, where {_PLURALS[origin]} are"


_BEFORE = "which comes first"
_PLURALS = {Origin.EXTERNAL: "external addresses", Origin.LOAD_BALANCER: "load balancers' addresses"}


def _shown(name: ObjectName) -> str:
    return f"service {'/'.join(name)}"
