"""The proxy's engine, whatever it is told in whatever order, against one that is told the outcome only.

What services ask for meets in few addresses, ports and marks, so that they are in each other's way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TypeVar

from builders import address
from hypothesis import given
from hypothesis import strategies as st
from proxy_builders import DAYS
from proxy_facts import gone, put

from netpol.compiler.names import services_set
from netpol.compiler.ruleset import AddressPort
from netpol.model.facts import Fact, Key, Kind
from netpol.model.networks import Address, Family, parse_network
from netpol.model.objects import Node
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
from netpol.settings import ProxySettings
from proxy.model import ServerAddress
from proxy.names import addresses_set, owned_set, restricted_set, served_set
from proxy.services.engine import ProxyEngine, Touched
from proxy.services.rules import port_of

Name = TypeVar("Name")

NAMES = [("shop", "a"), ("shop", "b"), ("shop", "c"), ("web", "a"), ("web", "b")]
OWN = Key(Kind.NODE, "", "n1")
MARKED_ALIKE = [("192.0.2.1", 1080), ("192.0.2.2", 1251)]
"""TCP to these has the same mark."""

SETTINGS = st.builds(
    ProxySettings,
    cluster_cidrs=st.sampled_from([(), (parse_network("10.1.0.0/16"),)]),
    masquerade_all=st.booleans(),
    hairpin=st.booleans(),
    node_ports_on_all_addresses=st.booleans(),
)
FAMILIES = st.sampled_from([tuple(Family), tuple(Family), (Family.IPV4,), (Family.IPV6,)])


def one_of(*choices: str) -> st.SearchStrategy[tuple[Address, ...]]:
    """One of these lists of addresses, which are separated by blanks."""
    return st.sampled_from([tuple(map(address, choice.split())) for choice in choices])


NUMBERS = st.sampled_from([port for _, port in MARKED_ALIKE])
PORT_NAMES = st.sampled_from(["http", "http", ""])
PROTOCOLS = st.sampled_from([Protocol.TCP, Protocol.TCP, Protocol.TCP, Protocol.UDP])
PORTS = st.lists(
    st.builds(ServicePort, PROTOCOLS, NUMBERS, PORT_NAMES, st.sampled_from([None, 30080, 30081])),
    min_size=1,
    max_size=2,
    unique_by=(lambda port: (port.protocol, port.number), lambda port: port.name),
).map(tuple)
POLICIES = st.sampled_from(TrafficPolicy)
OUTSIDE = "192.0.2.1", "192.0.2.2", "192.0.2.1 192.0.2.2", "192.0.2.1 2001:db8::1"
SERVICES = st.builds(
    Service,
    st.just(""),
    st.just(""),
    one_of("10.96.0.1", "10.96.0.2", "10.96.0.3 fd00:96::1", "10.96.0.4", "10.96.0.5", ""),
    PORTS,
    one_of("", "", *OUTSIDE, "172.16.0.2"),
    one_of("", *OUTSIDE),
    st.sampled_from([None, None, frozenset(), frozenset({parse_network("0.0.0.0/0"), parse_network("fd00::/8")})]),
    POLICIES,
    POLICIES,
    st.sampled_from([None, 32000]),
    affinity_seconds=st.sampled_from([None, 600]),
    scheduler=st.sampled_from(["", "rr", "mh"]),
    hairpin=st.booleans(),
    direct_return=st.booleans(),
    created=st.sampled_from(["", *DAYS[:2]]),
)
ENDPOINTS = st.builds(
    Endpoint,
    st.sampled_from(
        [address(text) for text in ("10.1.0.1", "10.1.0.2", "10.2.0.1", "fd00:1::1", "10.96.0.2", "192.0.2.1")]
    ),
    st.sampled_from(["n1", "n1", "n2", ""]),
    ready=st.sampled_from([True, True, True, False]),
    serving=st.booleans(),
    terminating=st.booleans(),
    zone_hints=st.sampled_from([frozenset[str](), frozenset[str](), frozenset({"a"}), frozenset({"b"})]),
)
GROUPS = st.builds(
    EndpointGroup,
    st.lists(ENDPOINTS, min_size=1, max_size=3).map(tuple),
    st.lists(
        st.builds(EndpointPort, PROTOCOLS, st.one_of(NUMBERS, st.just(8080)), PORT_NAMES), min_size=1, max_size=2
    ).map(tuple),
)


NODE = st.builds(
    Node,
    st.sampled_from(["n1", "n1", "n2", "n3"]),
    one_of("172.16.0.1", "172.16.0.1 fd00:16::1", "172.16.0.2", ""),
    st.sampled_from([(), (parse_network("10.1.0.0/24"),), (parse_network("192.0.2.2/31"),)]),
    st.sampled_from(["", "a"]),
)


@st.composite
def named_services(draw: st.DrawFn) -> Service:
    """One of few services."""
    namespace, name = draw(st.sampled_from(NAMES))
    drawn = replace(draw(SERVICES), namespace=namespace, name=name)
    if draw(st.integers(0, 3)):
        return drawn
    outside, number = draw(st.sampled_from(MARKED_ALIKE))
    alike = (ServicePort(Protocol.TCP, number),)
    return replace(drawn, ports=alike, load_balancer_addresses=(address(outside),), direct_return=True)


@st.composite
def slices(draw: st.DrawFn) -> EndpointSlice:
    """One of the two slices of one of few services."""
    namespace, name = draw(st.sampled_from(NAMES))
    groups = draw(st.lists(GROUPS, min_size=1, max_size=2))
    service = draw(st.sampled_from([name, name, name, "a"]))
    return EndpointSlice(namespace, f"{name}-{draw(st.sampled_from('12'))}", service, tuple(groups))


@st.composite
def facts(draw: st.DrawFn) -> Fact:
    """Something about one of few objects: it is so, or, now and then, there is none."""
    value = draw(st.one_of(named_services(), named_services(), slices(), slices(), NODE))
    return draw(st.sampled_from([*put(value) * 4, *gone(value)]))


@dataclass(frozen=True, slots=True)
class NodeAddresses:
    """The network namespace has these."""

    addresses: frozenset[Address]


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The kernel has none of these schedulers."""

    schedulers: frozenset[str]


Event = list[Fact] | NodeAddresses | Unavailable
LATER: st.SearchStrategy[Event] = st.one_of(
    *[st.lists(facts(), min_size=1, max_size=1)] * 3,
    st.lists(facts(), min_size=2, max_size=8),
    st.builds(NodeAddresses, one_of("172.16.0.1 fd00:16::1", "172.16.0.3", "172.16.0.2 192.0.2.1").map(frozenset)),
    st.builds(Unavailable, st.sampled_from([frozenset[str](), frozenset({"mh"}), frozenset({"mh", "rr"})])),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """A cluster with something of everything, and what becomes of it."""
    start = [Fact(OWN, Node("n1", (address("172.16.0.1"),), zone="a"))]
    start += draw(st.lists(facts(), min_size=10, max_size=20))
    return [start, *draw(st.lists(LATER, min_size=5, max_size=15))]


HISTORIES = histories()


def tell(engine: ProxyEngine, event: Event) -> Touched:
    """The event has come to pass."""
    match event:
        case NodeAddresses(addresses):
            return engine.set_node_addresses(addresses)
        case Unavailable(schedulers):
            return engine.set_unavailable(schedulers)
        case _:
            return engine.apply(event)


@dataclass(slots=True)
class World:
    """The present, by the last event about each thing."""

    objects: dict[Key, object | None] = field(default_factory=dict)
    addresses: NodeAddresses = NodeAddresses(frozenset())
    unavailable: Unavailable = Unavailable(frozenset())

    def learn(self, event: Event) -> None:
        """The event has come to pass; what is known of the own node outlives its object."""
        match event:
            case NodeAddresses():
                self.addresses = event
            case Unavailable():
                self.unavailable = event
            case _:
                known = {fact.key: fact.value for fact in event}
                self.objects.update({key: value for key, value in known.items() if value is not None or key != OWN})

    def events(self) -> list[Event]:
        """All of it, in another order than it came in."""
        there = [Fact(key, value) for key, value in sorted(self.objects.items(), key=str) if value is not None]
        return [self.unavailable, there, self.addresses]


@dataclass(frozen=True, slots=True)
class State:
    """All that an engine says, as of one moment."""

    parts: Mapping[str, Mapping[object, object]]

    @classmethod
    def of(cls, engine: ProxyEngine) -> State:
        """What it says now."""
        return cls(
            {
                "services": _copy(engine.served),
                "servers": _copy(engine.servers),
                "addresses": _copy(dict.fromkeys(engine.addresses)),
                "sets": _copy(engine.sets()),
                "tables": _copy(engine.tables()),
                "health_checks": _copy(engine.health_checks),
                "tunnels": _copy(engine.tunnels),
                "noticed": _copy(engine.notices),
            }
        )

    def difference(self, other: State) -> dict[str, object]:
        """What is not the same in both, by what `Touched` calls it: names, or of some only whether there are any."""
        found = {name: _differing(part, other.parts[name]) for name, part in self.parts.items()}
        return {name: bool(names) if name in ("health_checks", "tunnels") else names for name, names in found.items()}


def _copy(values: Mapping[Name, object]) -> Mapping[object, object]:
    return dict(values.items())


def _differing(one: Mapping[object, object], other: Mapping[object, object]) -> frozenset[object]:
    absent = object()
    return frozenset(name for name in one.keys() | other.keys() if one.get(name, absent) != other.get(name, absent))


def after(
    settings: ProxySettings, families: tuple[Family, ...], history: Sequence[Event]
) -> Iterator[tuple[State, Touched, World]]:
    """The engine's state after each event, what the event touched by its word, and the present."""
    engine, world = ProxyEngine("n1", families, settings), World()
    for event in history:
        touched = tell(engine, event)
        world.learn(event)
        yield State.of(engine), touched, world


@given(SETTINGS, FAMILIES, HISTORIES)
def test_it_is_where_it_would_be_without_a_past(
    settings: ProxySettings, families: tuple[Family, ...], history: list[Event]
) -> None:
    for state, _, world in after(settings, families, history):
        afresh = ProxyEngine("n1", families, settings)
        for event in world.events():
            tell(afresh, event)
        assert state == State.of(afresh)


@given(SETTINGS, FAMILIES, HISTORIES)
def test_what_it_says_was_touched_is_what_changed(
    settings: ProxySettings, families: tuple[Family, ...], history: list[Event]
) -> None:
    former = State.of(ProxyEngine("n1", families, settings))
    for state, touched, _ in after(settings, families, history):
        said = {each.name: getattr(touched, each.name) for each in fields(Touched)}
        assert said == former.difference(state)
        former = state


@given(SETTINGS, FAMILIES, HISTORIES)
def test_what_it_was_told_before_touches_nothing(
    settings: ProxySettings, families: tuple[Family, ...], history: list[Event]
) -> None:
    engine, world = ProxyEngine("n1", families, settings), World()
    for event in history:
        tell(engine, event)
        world.learn(event)
    assert not any(tell(engine, event) for event in world.events())


@given(SETTINGS, FAMILIES, HISTORIES)
def test_every_server_at_an_address_is_recorded_and_let_in(
    settings: ProxySettings, families: tuple[Family, ...], history: list[Event]
) -> None:
    """What is on the link is served there, and nothing is served that could not be told for ours."""
    engine = ProxyEngine("n1", families, settings)
    for event in history:
        tell(engine, event)
    served = [key for key in engine.servers if isinstance(key, ServerAddress)]
    for family in families:
        own = {port_of(key) for key in served if key.family is family}
        sets = engine.sets()
        records = [each for each in sets[owned_set(family)].members if isinstance(each, AddressPort)]
        assert sets[services_set(family)].members <= own
        assert sets[served_set(family)].members == own == {each._replace(comment="") for each in records}
        assert len(records) == len(own)
        on_link = {each.packed for each in engine.addresses if each.version == family.value}
        assert sets[addresses_set(family)].members == on_link
        marked = {port_of(key) for each in engine.served.values() for key in each.marks.values()}
        assert sets[restricted_set(family)].members <= own | marked
