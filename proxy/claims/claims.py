"""Which addresses and node ports each service may have, where any tenant can ask for any."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from netpol.model.networks import Address
from netpol.model.notices import Notice
from netpol.model.objects import Node
from netpol.model.services import Service, ServicePort
from netpol.model.snapshot import ObjectName
from netpol.settings import AddressRanges, ProxySettings
from proxy.claims import refusals
from proxy.claims.address_order import AddressOrder
from proxy.claims.seniority import Rank, Seniority
from proxy.claims.special_addresses import speciality
from proxy.claims.stakes import (
    AddressStake,
    Claim,
    Stake,
    claims_of,
    node_ports_of,
    server_stake,
    servers_at,
    stakes_of,
)
from proxy.claims.territory import Territory
from proxy.model import Origin, ServerAddress


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


_Problem = tuple[str, str]
"""A field, and why what it asks for is refused."""

_CONTESTABLE = (Origin.LOAD_BALANCER, Origin.EXTERNAL)
"""What the API server has not given: such addresses may be anybody's."""
_CONCERNED = {
    Origin.CLUSTER: (Origin.CLUSTER, *_CONTESTABLE),
    Origin.LOAD_BALANCER: (Origin.EXTERNAL,),
    Origin.EXTERNAL: (Origin.EXTERNAL,),
}
"""Of which origins the claims to an address depend on who comes first there by this one."""


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
        self._stakes: Seniority[Stake] = Seniority()
        self._contested = AddressOrder()

    # --- facts: each returns the services that may be granted something else from then on

    def put(self, name: ObjectName, service: Service | None) -> frozenset[ObjectName]:
        """The service is this, None being that there is none."""
        former = self._services.pop(name, None)
        if service is not None:
            self._services[name] = service
        if service == former:
            return frozenset()
        before, after = stakes_of(former), stakes_of(service)
        if former is not None and service is not None and Rank.of(former) == Rank.of(service):
            before, after = before - after, after - before
        touched = {name}
        if former is not None:
            touched.update(self._move(before, Rank.of(former), self._stakes.leave, self._contested.discard))
        if service is not None:
            touched.update(self._move(after, Rank.of(service), self._stakes.join, self._contested.add))
        return frozenset(touched)

    def _move(
        self,
        stakes: Iterable[Stake],
        rank: Rank,
        enter_or_leave: Callable[[Stake, Rank], bool],
        add_or_discard: Callable[[Address], None],
    ) -> Iterator[ObjectName]:
        """A service has these stakes from now on, or no more; returns who may be granted something else by that."""
        for stake in stakes:
            if enter_or_leave(stake, rank):
                yield from self._concerned(stake)
            if isinstance(stake, AddressStake) and stake.origin in _CONTESTABLE:
                add_or_discard(stake.address)

    def place_node(self, name: str, node: Node | None) -> frozenset[ObjectName]:
        """The node is this, None being that there is none."""
        ground = self._territory.place_node(name, node)
        return self._claimants(ground.addresses.union(*map(self._contested.inside, ground.networks)))

    def set_own_addresses(self, addresses: frozenset[Address]) -> frozenset[ObjectName]:
        """These are this network namespace's, those aside that are there for services."""
        return self._claimants(self._territory.set_own_addresses(addresses))

    def _concerned(self, stake: Stake) -> Iterator[ObjectName]:
        """Who depends on which service is the first with this stake."""
        if isinstance(stake, AddressStake):
            for origin in _CONCERNED[stake.origin]:
                yield from self._stakes.all(AddressStake(origin, stake.address))
        else:
            yield from self._stakes.all(stake)

    def _claimants(self, addresses: Iterable[Address]) -> frozenset[ObjectName]:
        """The services that ask for one of the addresses, and were not given it by the API server."""
        stakes = (AddressStake(origin, address) for address in addresses for origin in _CONTESTABLE)
        return frozenset(name for stake in stakes for name in self._stakes.all(stake))

    # --- judgement

    def granted(self, name: ObjectName) -> Granted:
        """What the service may have as of now; nothing where there is no such service."""
        service = self._services.get(name)
        if service is None:
            return Granted()
        servers: dict[ServerAddress, Grant] = {}
        problems: list[_Problem] = []
        for claim in claims_of(service):
            refusal = self._refusal(name, claim)
            if refusal is None:
                self._judge_ports(service, claim, servers, problems)
            else:
                problems.append((claim.field, refusals.address_taken(claim.address, refusal)))
        node_ports = tuple(self._node_ports(service, problems))
        notices = (Notice("Service", *name, at, refusals.unserved(reason)) for at, reason in problems)
        return Granted(servers, node_ports, tuple(notices))

    def _refusal(self, name: ObjectName, claim: Claim) -> str | None:
        """What the address is to somebody else, and so refused; None where the service may have it."""
        origin, address, _ = claim
        holder = self._ahead(name, AddressStake(Origin.CLUSTER, address))
        if holder is not None:
            words = refusals.older_cluster_address if origin is Origin.CLUSTER else refusals.cluster_address
            return words(holder)
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
        """What an external address is to another service that goes before this one, whatever the port."""
        holder = self._ahead(name, AddressStake(Origin.LOAD_BALANCER, address))
        if holder is not None:
            return refusals.load_balancer_address(holder)
        holder = self._ahead(name, AddressStake(Origin.EXTERNAL, address))
        if holder is not None and holder[0] != name[0]:
            return refusals.older_external_address(holder)
        return None

    def _judge_ports(
        self, service: Service, claim: Claim, servers: dict[ServerAddress, Grant], problems: list[_Problem]
    ) -> None:
        """Each port is served on an address that is not refused, or is a problem."""
        for server, port in servers_at(service, claim.address).items():
            holder = self._ahead(_name(service), server_stake(service, claim.origin, server))
            if holder is None:
                servers[server] = Grant(claim.origin, port)
            else:
                problems.append((claim.field, refusals.port_taken(port, claim.address, holder)))

    def _node_ports(self, service: Service, problems: list[_Problem]) -> Iterator[ServicePort]:
        """The ports that may have their node ports; each other one is a problem."""
        for stake, (at, port) in node_ports_of(service).items():
            allowed = self._ranges.node_ports
            holder = self._ahead(_name(service), stake)
            if self._ranges.strict and stake.number not in allowed:
                problems.append((at, refusals.node_port_outside(stake, allowed)))
            elif holder is not None:
                problems.append((at, refusals.node_port_taken(stake, holder)))
            else:
                yield port

    def _ahead(self, name: ObjectName, stake: Stake) -> ObjectName | None:
        """Who has it before the service; None where nobody else comes first."""
        first = self._stakes.first(stake)
        return None if first == name else first


def _name(service: Service) -> ObjectName:
    return service.namespace, service.name


def _reserved(address: Address, ranges: AddressRanges) -> str | None:
    """What the API server may make of it, for it is in a range of cluster addresses; None where it is not."""
    network = next((each for each in ranges.cluster if ranges.strict and address in each), None)
    return None if network is None else refusals.in_cluster_range(network)


def _misplaced(address: Address, origin: Origin, ranges: AddressRanges) -> str | None:
    """Where it should be and is not; None where it is in a range of its kind, or nobody asks."""
    wanted = ranges.external if origin is Origin.EXTERNAL else ranges.load_balancer
    if not ranges.strict or not wanted or any(address in network for network in wanted):
        return None
    return refusals.outside_ranges(wanted, origin)
