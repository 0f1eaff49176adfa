"""What services ask for that others could ask for too: addresses, ports of addresses, node ports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from netpol.model.networks import Address
from netpol.model.ports import Protocol
from netpol.model.services import Service, ServicePort
from proxy.model import Origin, ServerAddress


class Claim(NamedTuple):
    """An address that a service asks for, and the field that says so."""

    origin: Origin
    address: Address
    field: str


class AddressStake(NamedTuple):
    """An address, which others are then refused."""

    origin: Origin
    address: Address


class ServerStake(NamedTuple):
    """A virtual server: an external one is sought by the services of a namespace, any other by all."""

    origin: Origin
    server: ServerAddress
    namespace: str


class NodePortStake(NamedTuple):
    """A port of every node."""

    protocol: Protocol
    number: int

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol.value}"


Stake = AddressStake | ServerStake | NodePortStake


def claims_of(service: Service) -> Iterator[Claim]:
    """Every address the service asks for, once; none where it has no cluster address."""
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
                yield Claim(origin, address, path.format(index))


def servers_at(service: Service, address: Address) -> dict[ServerAddress, ServicePort]:
    """The virtual servers of the address, and the port that each serves: of equal ones the first."""
    found: dict[ServerAddress, ServicePort] = {}
    for port in service.ports:
        found.setdefault(ServerAddress(address, port.protocol, port.number), port)
    return found


def node_ports_of(service: Service) -> dict[NodePortStake, tuple[str, ServicePort]]:
    """Every node port, with the field that asks for it and the port that it leads to: of equal ones the first."""
    found: dict[NodePortStake, tuple[str, ServicePort]] = {}
    for index, port in enumerate(service.ports if service.cluster_addresses else ()):
        if port.node_port is not None:
            found.setdefault(NodePortStake(port.protocol, port.node_port), (f"spec.ports[{index}].nodePort", port))
    return found


def server_stake(service: Service, origin: Origin, server: ServerAddress) -> ServerStake:
    """The service's stake in the virtual server."""
    return ServerStake(origin, server, service.namespace if origin is Origin.EXTERNAL else "")


def stakes_of(service: Service | None) -> frozenset[Stake]:
    """All that the service wants and others could want too; nothing where there is no service."""
    if service is None:
        return frozenset()
    found: set[Stake] = {*node_ports_of(service)}
    for origin, address, _ in claims_of(service):
        found.add(AddressStake(origin, address))
        # Who has a cluster address has all of it.
        if origin is not Origin.CLUSTER:
            found.update(server_stake(service, origin, server) for server in servers_at(service, address))
    return frozenset(found)
