"""Short constructors of services and of what serves behind them.

    service("web/front", "10.96.0.1", ports="http=80:30080/TCP dns=53/UDP", external="198.51.100.7")
    endpoint_slice("web/front-1", "front", endpoint("10.0.0.1", "n1"), draining("10.0.0.2"), ports="http=8080/TCP")

Several addresses, ports or names stand in one text, with spaces between them. What is not asked for
here, `dataclasses.replace` sets.
"""

from __future__ import annotations

from netpol.model.networks import Address, parse_address, parse_network
from netpol.model.ports import Protocol
from netpol.model.services import (
    Endpoint,
    EndpointGroup,
    EndpointPort,
    EndpointSlice,
    Service,
    ServicePort,
    TrafficPolicy,
)
from proxy.model import Destination, ServerAddress

DAYS = tuple(f"2024-01-{day:02d}T00:00:00.000000Z" for day in range(1, 29))
"""Times of creation, the oldest first."""


def addresses(text: str) -> tuple[Address, ...]:
    """The addresses of the text.

    >>> addresses("10.0.0.1 fd00::1")
    (IPv4Address('10.0.0.1'), IPv6Address('fd00::1'))
    """
    return tuple(map(parse_address, text.split()))


def service_port(text: str) -> ServicePort:
    """A port of a service: `"80/TCP"`, `"http=80/TCP"` or, with its node port, `"http=80:30080/TCP"`.

    >>> service_port("http=80:30080/TCP")
    ServicePort(protocol=<Protocol.TCP: 'TCP'>, number=80, name='http', node_port=30080)
    """
    name, numbers, protocol = _parts(text)
    number, _, node_port = numbers.partition(":")
    return ServicePort(protocol, int(number), name, int(node_port) if node_port else None)


def endpoint_port(text: str) -> EndpointPort:
    """A port of endpoints: `"8080/TCP"` or, for the service's port of that name, `"http=8080/TCP"`."""
    name, number, protocol = _parts(text)
    return EndpointPort(protocol, int(number), name)


def _parts(text: str) -> tuple[str, str, Protocol]:
    name, _, rest = text.rpartition("=")
    numbers, _, protocol = rest.partition("/")
    return name, numbers, Protocol(protocol)


def service(
    name: str,
    cluster: str = "",
    *,
    ports: str = "80/TCP",
    external: str = "",
    load_balancer: str = "",
    sources: str | None = None,
    internal_policy: TrafficPolicy = TrafficPolicy.CLUSTER,
    external_policy: TrafficPolicy = TrafficPolicy.CLUSTER,
    health_check_node_port: int | None = None,
    created: str = "",
) -> Service:
    """A service named `"namespace/name"` with these addresses; `sources` None lets everybody in."""
    namespace, _, own = name.partition("/")
    return Service(
        namespace,
        own,
        addresses(cluster),
        tuple(map(service_port, ports.split())),
        addresses(external),
        addresses(load_balancer),
        None if sources is None else frozenset(map(parse_network, sources.split())),
        internal_policy,
        external_policy,
        health_check_node_port,
        uid=f"uid-of-{namespace}-{own}",
        created=created,
    )


def endpoint(address: str, node: str = "", *, zones: str = "", nodes: str = "") -> Endpoint:
    """An endpoint that is ready, with hints for these zones and nodes."""
    return Endpoint(
        parse_address(address), node, zone_hints=frozenset(zones.split()), node_hints=frozenset(nodes.split())
    )


def draining(address: str, node: str = "", *, zones: str = "", nodes: str = "") -> Endpoint:
    """An endpoint that is ready no more, for it terminates, and that serves all the same."""
    hints = frozenset(zones.split()), frozenset(nodes.split())
    return Endpoint(parse_address(address), node, False, True, True, *hints)


def unready(address: str, node: str = "") -> Endpoint:
    """An endpoint that does not serve."""
    return Endpoint(parse_address(address), node, ready=False, serving=False)


def group(*endpoints: Endpoint, ports: str = "80/TCP") -> EndpointGroup:
    """Endpoints that serve on these ports."""
    return EndpointGroup(endpoints, tuple(map(endpoint_port, ports.split())))


def endpoint_slice(name: str, service: str, *endpoints: Endpoint, ports: str = "80/TCP") -> EndpointSlice:
    """A slice named `"namespace/name"` of the service of that namespace."""
    namespace, _, own = name.partition("/")
    return EndpointSlice(namespace, own, service, (group(*endpoints, ports=ports),))


def server(text: str) -> ServerAddress:
    """The virtual server that its own text names.

    >>> str(server("10.96.0.1:80/TCP")), str(server("[fd00::1]:53/UDP"))
    ('10.96.0.1:80/TCP', '[fd00::1]:53/UDP')
    """
    place, _, protocol = text.partition("/")
    address, number = _place(place)
    return ServerAddress(address, Protocol(protocol), number)


def destination(text: str) -> Destination:
    """The destination that its own text names.

    >>> str(destination("10.0.0.1:8080")), str(destination("[fd00::1]:8080"))
    ('10.0.0.1:8080', '[fd00::1]:8080')
    """
    return Destination(*_place(text))


def _place(text: str) -> tuple[Address, int]:
    address, _, port = text.rpartition(":")
    return parse_address(address.strip("[]")), int(port)
