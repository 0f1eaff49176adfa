"""The proxy's engine, whatever it is told in whatever order, against one that is told the outcome only.

What services ask for meets in few addresses, ports and marks, so that they are in each other's way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from builders import address, node
from hypothesis import given
from hypothesis import strategies as st
from proxy_builders import DAYS
from proxy_facts import put

from netpol.compiler.names import services_set
from netpol.compiler.ruleset import AddressPort
from netpol.model.facts import Fact, Key
from netpol.model.networks import Address, Family, parse_network
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
from proxy.engine import ProxyEngine, Touched
from proxy.model import ServerAddress
from proxy.names import addresses_set, owned_set, restricted_set
from proxy.rules import port_of

Name = TypeVar("Name")

NAMES = [("shop", "a"), ("shop", "b"), ("shop", "c"), ("web", "a"), ("web", "b")]
NODES = ["n1", "n2", "n3"]
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


def some(*texts: str, most: int = 2) -> st.SearchStrategy[tuple[Address, ...]]:
    """A few of these addresses."""
    return st.lists(st.sampled_from([address(text) for text in texts]), max_size=most, unique=True).map(tuple)


PORTS = st.lists(
    st.builds(
        ServicePort,
        st.sampled_from([Protocol.TCP, Protocol.TCP, Protocol.UDP]),
        st.sampled_from([80, *(port for _, port in MARKED_ALIKE)]),
        st.sampled_from(["", "http"]),
        st.sampled_from([None, 30080, 30081]),
    ),
    min_size=1,
    max_size=2,
    unique_by=(lambda port: (port.protocol, port.number), lambda port: port.name),
).map(tuple)
POLICIES = st.sampled_from(TrafficPolicy)
SERVICES = st.builds(
    Service,
    st.just(""),
    st.just(""),
    some("10.96.0.1", "10.96.0.2", "10.96.0.3", "fd00:96::1"),
    PORTS,
    some("192.0.2.1", "192.0.2.2", "172.16.0.2", "2001:db8::1"),
    some("192.0.2.1", "192.0.2.2", "2001:db8::1"),
    st.sampled_from([None, frozenset(), frozenset({parse_network("0.0.0.0/0"), parse_network("fd00::/8")})]),
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
    st.sampled_from([address(text) for text in ("10.1.0.1", "10.1.0.2", "10.2.0.1", "fd00:1::1")]),
    st.sampled_from(["", *NODES]),
    ready=st.booleans(),
    serving=st.booleans(),
    terminating=st.booleans(),
    zone_hints=st.sampled_from([frozenset[str](), frozenset({"a"}), frozenset({"b"})]),
)
GROUPS = st.builds(
    EndpointGroup,
    st.lists(ENDPOINTS, max_size=3).map(tuple),
    st.lists(
        st.builds(
            EndpointPort,
            st.sampled_from([Protocol.TCP, Protocol.UDP]),
            st.sampled_from([80, 8080, *(port for _, port in MARKED_ALIKE)]),
            st.sampled_from(["", "http"]),
        ),
        max_size=2,
    ).map(tuple),
)


@st.composite
def facts(draw: st.DrawFn) -> Fact:
    """Something about one of few objects: it is so, or there is none."""
    namespace, name = draw(st.sampled_from(NAMES))
    drawn: Service | EndpointSlice
    kind = draw(st.sampled_from("ssseen"))
    if kind == "n":
        addresses = draw(some("172.16.0.1", "172.16.0.2", "fd00:16::1"))
        cidrs = draw(st.sampled_from([(), (parse_network("10.1.0.0/24"),), (parse_network("192.0.2.0/30"),)]))
        place = node(draw(st.sampled_from(NODES)), zone=draw(st.sampled_from(["", "a"])))
        found = put(replace(place, addresses=addresses, pod_cidrs=cidrs))
    else:
        if kind == "s":
            drawn = replace(draw(SERVICES), namespace=namespace, name=name)
        else:
            part = draw(st.sampled_from(["1", "2"]))
            drawn = EndpointSlice(namespace, f"{name}-{part}", name, tuple(draw(st.lists(GROUPS, max_size=2))))
        found = put(drawn)
    return found[0] if draw(st.integers(0, 4)) else Fact(found[0].key, None)


@dataclass(frozen=True, slots=True)
class NodeAddresses:
    """The network namespace has these."""

    addresses: frozenset[Address]


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The kernel has none of these schedulers."""

    schedulers: frozenset[str]


Event = list[Fact] | NodeAddresses | Unavailable
EVENTS: st.SearchStrategy[Event] = st.one_of(
    *[st.lists(facts(), min_size=1, max_size=1)] * 3,
    st.lists(facts(), min_size=2, max_size=8),
    st.builds(NodeAddresses, some("172.16.0.1", "172.16.0.3", "fd00:16::1", "192.0.2.1").map(frozenset)),
    st.builds(Unavailable, st.sampled_from([frozenset[str](), frozenset({"mh"}), frozenset({"mh", "rr"})])),
)
HISTORIES = st.lists(EVENTS, min_size=5, max_size=25)


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
        """The event has come to pass."""
        match event:
            case NodeAddresses():
                self.addresses = event
            case Unavailable():
                self.unavailable = event
            case _:
                self.objects.update({fact.key: fact.value for fact in event})

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

    def difference(self, other: State) -> Touched:
        """What is not the same in both."""
        found = {name: _differing(part, other.parts[name]) for name, part in self.parts.items()}
        flags = {name: bool(found.pop(name)) for name in ("health_checks", "tunnels")}
        return Touched(**found, **flags)  # type: ignore[arg-type]


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
        assert touched == former.difference(state)
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
        assert sets[services_set(family)].members == own == {each._replace(comment="") for each in records}
        assert len(records) == len(own)
        on_link = {each.packed for each in engine.addresses if each.version == family.value}
        assert sets[addresses_set(family)].members == on_link
        marked = {port_of(key) for each in engine.served.values() for key in each.marks.values()}
        assert sets[restricted_set(family)].members <= own | marked
