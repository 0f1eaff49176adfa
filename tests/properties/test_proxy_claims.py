"""What services are granted, whatever is told of them in whatever order, against the rules said simply."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from builders import node
from hypothesis import given
from hypothesis import strategies as st
from proxy_builders import DAYS, addresses, service

from netpol.model.networks import Address, Network, parse_network
from netpol.model.objects import Node
from netpol.model.ports import Protocol
from netpol.model.services import Service
from netpol.model.snapshot import ObjectName
from netpol.settings import AddressRanges, ProxySettings
from proxy.claims.claims import Claims, Granted
from proxy.model import Origin, ServerAddress

# --- what may be told

_SHARED = addresses("198.51.100.1 198.51.100.2 203.0.113.1 fd01::1")
_OF_SOMEBODY = addresses("192.0.2.1 192.0.2.2 10.1.0.1 10.2.0.1 10.96.0.1 10.97.0.1 127.0.0.1")
_CLUSTER_ADDRESSES = addresses("10.96.0.1 10.96.0.2 10.96.0.3 fd00::1 198.51.100.2")
_CLAIMED = st.lists(st.sampled_from([*_SHARED * 3, *_OF_SOMEBODY]), max_size=3).map(tuple)
_PORTS = service("x/x", ports="a=80:30080/TCP b=80:30081/UDP c=81/TCP d=82:30080/TCP e=80:20000/TCP").ports
NAMES = [(namespace, name) for namespace in ("red", "green") for name in ("a", "b", "c")]
_NODES = [
    None,
    node("", "192.0.2.1", pod_cidrs=["10.1.0.0/24"]),
    node("", "192.0.2.1", "198.51.100.1", pod_cidrs=["10.2.0.0/24", "fd01::/64"]),
    node("", pod_cidrs=["10.1.0.0/24", "198.51.100.0/30"]),
]
_OWN = [frozenset(addresses(text)) for text in ("", "192.0.2.2", "192.0.2.2 203.0.113.1")]
SETTINGS = st.sampled_from(
    [
        ProxySettings(),
        ProxySettings(cluster_cidrs=(parse_network("10.2.0.0/16"),)),
        ProxySettings(ranges=AddressRanges(external=(parse_network("198.51.100.0/31"),))),
        ProxySettings(
            ranges=AddressRanges(load_balancer=(parse_network("203.0.113.0/24"), parse_network("fd01::/64")))
        ),
        ProxySettings(ranges=AddressRanges(external=(parse_network("192.0.2.0/24"),), strict=False)),
    ]
)


class ServiceIs(NamedTuple):
    name: ObjectName
    service: Service | None


class NodeIs(NamedTuple):
    name: str
    node: Node | None


class OwnAre(NamedTuple):
    addresses: frozenset[Address]


Told = ServiceIs | NodeIs | OwnAre


@st.composite
def _services(draw: st.DrawFn) -> ServiceIs:
    """Something about a service; few have an address that another has for a cluster address."""
    namespace, name = draw(st.sampled_from(NAMES))
    if draw(st.integers(0, 5)) == 5:
        return ServiceIs((namespace, name), None)
    own = _CLUSTER_ADDRESSES[NAMES.index((namespace, name)) % 3]
    drawn = Service(
        namespace,
        name,
        draw(st.sampled_from([(own,), (own,), (own, *_CLUSTER_ADDRESSES[-2:]), ()])),
        draw(st.lists(st.sampled_from(_PORTS), min_size=1, max_size=3, unique=True).map(tuple)),
        draw(_CLAIMED),
        draw(st.one_of(st.just(()), _CLAIMED)),
        created=draw(st.sampled_from(("", *DAYS[:3]))),
    )
    return ServiceIs((namespace, name), drawn)


HISTORIES = st.lists(
    st.one_of(
        *[_services()] * 8,
        st.builds(NodeIs, st.sampled_from(("n1", "n2")), st.sampled_from(_NODES)),
        st.builds(OwnAre, st.sampled_from(_OWN)),
    ),
    min_size=8,
    max_size=30,
)


@dataclass
class World:
    """What claims depend on, as of now."""

    settings: ProxySettings
    services: dict[ObjectName, Service] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    own: frozenset[Address] = frozenset()

    def learn(self, told: Told) -> None:
        """It is so."""
        match told:
            case ServiceIs():
                self.services.pop(told.name, None)
                if told.service is not None:
                    self.services[told.name] = told.service
            case NodeIs():
                self.nodes.pop(told.name, None)
                if told.node is not None:
                    self.nodes[told.name] = told.node
            case OwnAre():
                self.own = told.addresses


def tell(claims: Claims, told: Told) -> frozenset[ObjectName]:
    """The claims are judged by this too; returns whom that is said to concern."""
    match told:
        case ServiceIs():
            return claims.put(*told)
        case NodeIs():
            return claims.place_node(*told)
        case OwnAre():
            return claims.set_own_addresses(*told)


def as_of(world: World) -> Claims:
    """Claims that were told of the world as it is, and of nothing before, in another order."""
    found = Claims(world.settings)
    for name in sorted(world.services, reverse=True):
        found.put(name, world.services[name])
    found.set_own_addresses(world.own)
    for node_name, each in world.nodes.items():
        found.place_node(node_name, each)
    return found


# --- the rules, said simply


@dataclass
class Share:
    """What one service gets, and the fields that ask for more."""

    servers: dict[ServerAddress, Origin] = field(default_factory=dict)
    node_ports: set[tuple[Protocol, int]] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)


class Distribution:
    """All claims of a world in the order of their precedence: who comes to a free address and port has it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._order = sorted(
            (each for each in world.services.values() if each.cluster_addresses),
            key=lambda each: (each.created or "unknown goes behind digits", each.namespace, each.name),
        )
        self._taken: set[ServerAddress] = set()
        self._cluster: dict[Address, Service] = {}
        self._external: dict[Address, Service] = {}
        self.shares = {name: Share() for name in world.services}
        for each in self._order:
            self._give_cluster(each)
        for each in self._order:
            self._give_balanced(each)
        for each in self._order:
            self._give_external(each)
        self._give_node_ports()

    def share(self, service: Service) -> Share:
        return self.shares[service.namespace, service.name]

    def _give(self, service: Service, address: Address, origin: Origin, at: str) -> None:
        for port in service.ports:
            key, share = ServerAddress(address, port.protocol, port.number), self.share(service)
            if key not in self._taken:
                self._taken.add(key)
                share.servers[key] = origin
            elif key not in share.servers:
                share.refused.add(at)

    def _give_cluster(self, service: Service) -> None:
        for index, address in enumerate(service.cluster_addresses):
            if self._cluster.setdefault(address, service) is service:
                self._give(service, address, Origin.CLUSTER, "")
            else:
                self.share(service).refused.add(f"spec.clusterIPs[{index}]")

    def _give_balanced(self, service: Service) -> None:
        wanted = self._world.settings.ranges.load_balancer
        for address in service.load_balancer_addresses:
            if address not in service.cluster_addresses:
                if self._may_be_anybodys(address, wanted):
                    self._give(service, address, Origin.LOAD_BALANCER, "status.loadBalancer.ingress")
                else:
                    self.share(service).refused.add("status.loadBalancer.ingress")

    def _give_external(self, service: Service) -> None:
        wanted = self._world.settings.ranges.external
        own = {*service.cluster_addresses, *service.load_balancer_addresses}
        for address in dict.fromkeys(service.external_addresses):
            at = f"spec.externalIPs[{service.external_addresses.index(address)}]"
            if address in own:
                continue
            balanced = any(address in other.load_balancer_addresses for other in self._order)
            if balanced or not self._may_be_anybodys(address, wanted):
                self.share(service).refused.add(at)
            elif self._external.setdefault(address, service).namespace == service.namespace:
                self._give(service, address, Origin.EXTERNAL, at)
            else:
                self.share(service).refused.add(at)

    def _may_be_anybodys(self, address: Address, wanted: tuple[Network, ...]) -> bool:
        world, ranges = self._world, self._world.settings.ranges
        pods = [*world.settings.cluster_cidrs, *(each for node in world.nodes.values() for each in node.pod_cidrs)]
        hosts = [*world.own, *(each for node in world.nodes.values() for each in node.addresses)]
        if address in self._cluster or address in hosts or address.is_loopback or _inside(address, pods):
            return False
        return not ranges.strict or (not _inside(address, ranges.cluster) and (not wanted or _inside(address, wanted)))

    def _give_node_ports(self) -> None:
        ranges, taken = self._world.settings.ranges, dict[tuple[Protocol, int], Service]()
        for each in self._order:
            for index, port in enumerate(each.ports):
                if port.node_port is not None:
                    key = port.protocol, port.node_port
                    holder = taken.setdefault(key, each)
                    if holder is each and (not ranges.strict or port.node_port in ranges.node_ports):
                        self.share(each).node_ports.add(key)
                    elif key not in [(former.protocol, former.node_port) for former in each.ports[:index]]:
                        self.share(each).refused.add(f"spec.ports[{index}].nodePort")


def _inside(address: Address, networks: list[Network] | tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)


def shown(granted: Granted) -> Share:
    """What is granted, as the rules above say it."""
    ports = [(each.protocol, each.node_port) for each in granted.node_ports if each.node_port is not None]
    assert len(ports) == len(set(ports)) == len(granted.node_ports)
    return Share(
        {key: grant.origin for key, grant in granted.servers.items()},
        set(ports),
        {notice.field for notice in granted.notices},
    )


# --- what is true then


def after(settings: ProxySettings, history: list[Told]) -> Iterator[tuple[Claims, World, frozenset[ObjectName]]]:
    """Claims and world after each thing told, and whom that is said to concern."""
    claims, world = Claims(settings), World(settings)
    for told in history:
        world.learn(told)
        yield claims, world, tell(claims, told)


@given(SETTINGS, HISTORIES)
def test_every_service_is_granted_what_the_rules_give_it(settings: ProxySettings, history: list[Told]) -> None:
    for claims, world, _ in after(settings, history):
        expected = Distribution(world).shares
        assert {name: shown(claims.granted(name)) for name in world.services} == expected


@given(SETTINGS, HISTORIES)
def test_nobody_is_granted_otherwise_who_was_not_told_of(settings: ProxySettings, history: list[Told]) -> None:
    former: dict[ObjectName, Granted] = dict.fromkeys(NAMES, Granted())
    for claims, _, concerned in after(settings, history):
        granted = {name: claims.granted(name) for name in NAMES}
        assert {name for name in NAMES if granted[name] != former[name]} <= concerned
        former = granted


@given(SETTINGS, HISTORIES)
def test_no_two_services_have_the_same_server_or_node_port(settings: ProxySettings, history: list[Told]) -> None:
    for claims, world, _ in after(settings, history):
        granted = [claims.granted(name) for name in world.services]
        servers = [key for each in granted for key in each.servers]
        assert len(servers) == len(set(servers))
        node_ports = [(port.protocol, port.node_port) for each in granted for port in each.node_ports]
        assert len(node_ports) == len(set(node_ports))


@given(SETTINGS, HISTORIES)
def test_what_was_before_changes_nothing(settings: ProxySettings, history: list[Told]) -> None:
    """Not even the words of a notice."""
    *_, (claims, world, _) = after(settings, history)
    fresh = as_of(world)
    assert [claims.granted(name) for name in NAMES] == [fresh.granted(name) for name in NAMES]
