"""Short constructors of services and their endpoints.

    service("web/front", "http=80/TCP:30080", cluster="10.96.0.1", load_balancer="192.0.2.1")
    endpoints("web/front-1", "http=8080/TCP", "10.1.0.1@n1", "10.1.0.2@n2 draining")

Ports are `"name=80/TCP:30080"`, without a name or a node port where there is none. The last part of a slice's name
tells it from the others of its service.
"""

from __future__ import annotations

from collections.abc import Iterable

from netpol.model.facts import Fact, Key, Kind
from netpol.model.networks import Address, parse_address, parse_network
from netpol.model.objects import Node
from netpol.model.ports import Protocol
from netpol.model.services import (
    Endpoint,
    EndpointGroup,
    EndpointPort,
    EndpointSlice,
    SchedulerFlag,
    Service,
    ServicePort,
    TrafficPolicy,
)


def service(
    name: str,
    ports: str = "80/TCP",
    *,
    cluster: str = "10.96.0.1",
    external: str = "",
    load_balancer: str = "",
    source_ranges: Iterable[str] | None = None,
    internal: TrafficPolicy = TrafficPolicy.CLUSTER,
    policy: TrafficPolicy = TrafficPolicy.CLUSTER,
    health_check: int | None = None,
    affinity: int | None = None,
    scheduler: str = "",
    flags: Iterable[SchedulerFlag] = (),
    hairpin: bool = False,
    direct: bool = False,
    created: str = "",
) -> Service:
    """A service named `"namespace/name"`; addresses are separated by blanks, `policy` is the external one.

    >>> service("x/a", "dns=53/UDP:30053").ports
    (ServicePort(protocol=<Protocol.UDP: 'UDP'>, number=53, name='dns', node_port=30053),)
    """
    place, _, own = name.partition("/")
    return Service(
        place,
        own,
        _addresses(cluster),
        tuple(map(service_port, ports.split())),
        _addresses(external),
        _addresses(load_balancer),
        None if source_ranges is None else frozenset(map(parse_network, source_ranges)),
        internal,
        policy,
        health_check,
        affinity,
        scheduler,
        frozenset(flags),
        hairpin,
        direct,
        created=created,
    )


def service_port(text: str) -> ServicePort:
    """The port that `text` writes down."""
    text, _, node_port = text.partition(":")
    port = _endpoint_port(text)
    return ServicePort(port.protocol, port.number, port.name, int(node_port) if node_port else None)


def endpoints(name: str, ports: str, *endpoints: str) -> EndpointSlice:
    """A slice named `"namespace/service-suffix"` of endpoints that all serve on these ports.

    An endpoint is `"address@node"`, and `unready`, `draining` or `zone=a`, where that is so.
    """
    place, _, own = name.partition("/")
    group = EndpointGroup(tuple(map(_endpoint, endpoints)), tuple(map(_endpoint_port, ports.split())))
    return EndpointSlice(place, own, own.rpartition("-")[0], (group,))


def put(*values: Service | EndpointSlice | Node) -> list[Fact]:
    """That there are these objects."""
    return [Fact(key_of(each), each) for each in values]


def gone(*values: Service | EndpointSlice | Node) -> list[Fact]:
    """That there are no such objects."""
    return [Fact(key_of(each), None) for each in values]


def key_of(value: Service | EndpointSlice | Node) -> Key:
    """The identity of an object."""
    match value:
        case Service():
            return Key(Kind.SERVICE, value.namespace, value.name)
        case EndpointSlice():
            return Key(Kind.ENDPOINT_SLICE, value.namespace, value.name)
        case Node():
            return Key(Kind.NODE, "", value.name)


def _addresses(text: str) -> tuple[Address, ...]:
    return tuple(map(parse_address, text.split()))


def _endpoint_port(text: str) -> EndpointPort:
    name, _, number = text.rpartition("=")
    number, _, protocol = number.partition("/")
    return EndpointPort(Protocol(protocol), int(number), name)


def _endpoint(text: str) -> Endpoint:
    place, *words = text.split()
    address, _, node = place.partition("@")
    draining = "draining" in words
    ready = not draining and "unready" not in words
    zones = frozenset(word.partition("=")[2] for word in words if word.startswith("zone="))
    return Endpoint(parse_address(address), node, ready, ready or draining, draining, zones)
