"""A plan for virtual servers carried out: where it leads, whatever was there before."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from netpol.dataplane.memory.journal import Journal
from netpol.model.networks import Family, parse_network
from netpol.model.ports import Protocol
from proxy.kernel.memory import MemoryServers
from proxy.model import (
    AddDestination,
    AddServer,
    Destination,
    Forwarding,
    HeldServer,
    Origin,
    Scheduling,
    ServerAddress,
    ServerKey,
    ServerMark,
    VirtualServer,
)
from proxy.planning.draining import Draining
from proxy.planning.plan import Constraints, plan
from proxy.planning.shadow import ServerShadow

EXCLUDED = parse_network("10.96.0.4/30")
KEYS: tuple[ServerKey, ...] = (
    *(
        ServerAddress(IPv4Address(f"10.96.0.{number}"), protocol, 80)
        for number in (1, 2, 5)
        for protocol in (Protocol.TCP, Protocol.UDP)
    ),
    ServerMark(Family.IPV4, 0x4E000001),
)
DESTINATIONS = tuple(Destination(IPv4Address(f"10.0.0.{number}"), 80) for number in range(1, 5))
SCHEDULINGS = (Scheduling(), Scheduling("lc"), Scheduling("sh", persistence_seconds=60))

keys = st.sampled_from(KEYS)
wanted = st.builds(
    VirtualServer,
    keys,
    st.sampled_from(Origin),
    st.sampled_from(SCHEDULINGS),
    st.frozensets(st.sampled_from(DESTINATIONS)),
    st.sampled_from(Forwarding),
)
desired_servers = st.lists(wanted, unique_by=lambda each: each.key).map(lambda each: {one.key: one for one in each})
found_destinations = st.dictionaries(
    st.sampled_from(DESTINATIONS), st.tuples(st.sampled_from([0, 1, 5]), st.sampled_from(Forwarding), st.integers(0, 1))
)
held_servers = st.dictionaries(keys, st.tuples(st.sampled_from(SCHEDULINGS), found_destinations))
ours = st.frozensets(keys)

Found = Mapping[ServerKey, tuple[Scheduling, Mapping[Destination, tuple[int, Forwarding, int]]]]


def kernel_with(found: Found) -> MemoryServers:
    kernel = MemoryServers(Journal())
    for key, (scheduling, destinations) in found.items():
        kernel.apply([AddServer(key, scheduling)])
        for destination, (weight, forwarding, active) in destinations.items():
            kernel.apply([AddDestination(key, destination, weight, forwarding)])
            kernel.connect(key, destination, active)
    return kernel


def serving(server: HeldServer) -> dict[Destination, Forwarding | None]:
    """Where the server sends new connections, and how."""
    return {each: held.forwarding for each, held in server.destinations.items() if held.weight == 1}


@given(desired_servers, held_servers, ours)
def test_the_kernel_then_serves_what_is_desired_and_a_second_plan_is_empty(
    desired: dict[ServerKey, VirtualServer], found: Found, own: frozenset[ServerKey]
) -> None:
    kernel = kernel_with(found)
    before = kernel.read()
    constraints = Constraints(own.__contains__, [EXCLUDED])
    made = plan(desired, before, constraints)
    shadow = ServerShadow(before)
    kernel.apply(made.steps)
    shadow.follow(made.steps)
    after = kernel.read()
    assert shadow.servers == after
    for key, server in desired.items():
        if key in made.conflicts:
            assert after[key] == before[key]
            continue
        assert after[key].scheduling == server.scheduling
        assert serving(after[key]) == dict.fromkeys(server.destinations, server.forwarding)
        left = after[key].destinations.keys() - server.destinations
        assert left == {each.destination for each in made.draining if each.key == key}
        assert not left or server.protocol is not Protocol.UDP
    for key in before.keys() - desired.keys():
        excluded = isinstance(key, ServerAddress) and key.address in EXCLUDED
        assert (key in after) is (excluded or key not in own)
    assert after.keys() <= before.keys() | desired.keys()
    again = plan(
        desired, after, Constraints(lambda key: key not in made.conflicts and key in own | desired.keys(), [EXCLUDED])
    )
    assert (again.steps, again.draining, again.conflicts) == ((), made.draining, made.conflicts)


@given(desired_servers, held_servers, ours, ours)
def test_a_plan_of_some_servers_is_the_part_of_the_plan_that_is_theirs(
    desired: dict[ServerKey, VirtualServer], found: Found, own: frozenset[ServerKey], some: frozenset[ServerKey]
) -> None:
    held = kernel_with(found).read()
    constraints = Constraints(own.__contains__, [EXCLUDED])
    whole = plan(desired, held, constraints)
    part = plan(
        {key: each for key, each in desired.items() if key in some},
        {key: each for key, each in held.items() if key in some},
        constraints,
    )
    assert part.steps == tuple(step for step in whole.steps if step.key in some)
    assert part.conflicts == whole.conflicts & some
    assert part.draining == {each for each in whole.draining if each.key in some}
    assert part.stale == {each for each in whole.stale if each.key in some}


@given(desired_servers, held_servers)
def test_nothing_drains_for_ever(desired: dict[ServerKey, VirtualServer], found: Found) -> None:
    """Connections end or do not: after the time that is given, only what is desired is there."""
    kernel, draining = kernel_with(found), Draining(30.0)
    constraints = Constraints(lambda _: True)
    for now in (0.0, 1.0, 31.0):
        held = kernel.read()
        made = plan(desired, held, constraints, draining.ended(held, now))
        kernel.apply(made.steps)
        draining.follow(KEYS, made.draining, now)
        for route in made.draining:
            busy = held[route.key].destinations[route.destination].active
            assert now == 0.0 or busy, "what has no connection went at the first look"
            kernel.connect(route.key, route.destination, active=busy)
    assert draining.next_look(31.0) is None
    assert {key: each.destinations.keys() for key, each in kernel.read().items()} == {
        key: each.destinations for key, each in desired.items()
    }
