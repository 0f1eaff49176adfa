"""The ordered steps from the virtual servers that are there to those that should be: pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from netpol.model.networks import Address, Network
from netpol.model.ports import Protocol
from proxy.model import (
    DRAINING_WEIGHT,
    SERVING_WEIGHT,
    AddDestination,
    AddServer,
    Destination,
    EditDestination,
    EditServer,
    Forwarding,
    HeldDestination,
    HeldServer,
    RemoveDestination,
    RemoveServer,
    ServerAddress,
    ServerDestination,
    ServerKey,
    ServerStep,
    VirtualServer,
)

Server = TypeVar("Server", VirtualServer, HeldServer)


@dataclass(frozen=True, slots=True)
class Constraints:
    """What keeps a plan from writing the whole difference at once.

    A server that is held and is not `is_ours` was made by another program, and so was one at an address that
    `is_disputed`. Servers in `excluded` networks that nobody desires stay, whosever they are. With `drains`, a
    destination that nobody desires keeps its connections.
    """

    is_ours: Callable[[ServerKey], bool]
    excluded: Collection[Network] = ()
    drains: bool = True
    is_disputed: Callable[[Address], bool] = lambda _: False


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, and what is to be known of it.

    `conflicts` are desired, and others' servers that are left alone. `draining` are the destinations that only keep
    the connections they have once the steps are done. `stale` are those that conntrack goes on translating
    datagrams to, or, where the destination is the server's own address, does not translate at all. `older` are the
    own addresses of servers that are not there yet: what conntrack knows of connections to them is older than these.
    `switched` have a scheduler, and get another.
    """

    steps: tuple[ServerStep, ...] = ()
    conflicts: frozenset[ServerKey] = frozenset()
    draining: frozenset[ServerDestination] = frozenset()
    stale: frozenset[ServerDestination] = frozenset()
    older: frozenset[ServerDestination] = frozenset()
    switched: frozenset[ServerKey] = frozenset()


def plan(
    desired: Mapping[ServerKey, VirtualServer],
    held: Mapping[ServerKey, HeldServer],
    constraints: Constraints,
    ended: Collection[ServerDestination] = (),
) -> Plan:
    """The steps that make the held servers those that are desired; none where they are.

    Of some servers, both mappings restricted to these, they are the steps of these. Servers come and change
    before others go, and a destination comes before another goes, so that none is without for a moment. A
    destination that is not desired any more keeps its connections until it is among the `ended`; one of UDP has
    none to end, and goes at once.
    """
    conflicts = frozenset(
        key
        for key, server in desired.items()
        if server.origin.may_be_others and not constraints.is_ours(key) and _is_others(key, held, constraints)
    )
    wanted = [server for key, server in _in_order(desired) if key not in conflicts]
    gone = [
        server
        for key, server in _in_order(held)
        if key not in desired and constraints.is_ours(key) and _may_go(key, constraints)
    ]
    differences = [_Difference.between(server, held.get(server.key), constraints, ended) for server in wanted]
    return Plan(
        (*(step for each in differences for step in each.steps()), *(RemoveServer(server.key) for server in gone)),
        conflicts,
        frozenset(chain.from_iterable(each.draining() for each in differences)),
        frozenset(chain(*(each.stale() for each in differences), *map(_datagrams_to, gone))),
        frozenset(chain.from_iterable(each.older() for each in differences)),
        frozenset(each.wanted.key for each in differences if each.switches()),
    )


@dataclass(frozen=True, slots=True)
class _Difference:
    """How one server differs from what it should be."""

    wanted: VirtualServer
    held: HeldServer | None
    found: Mapping[Destination, HeldDestination]
    added: tuple[Destination, ...]
    replaced: tuple[Destination, ...]
    """Those that packets are forwarded to by another method."""
    revived: tuple[Destination, ...]
    drained: tuple[Destination, ...]
    removed: tuple[Destination, ...]

    @classmethod
    def between(
        cls,
        wanted: VirtualServer,
        held: HeldServer | None,
        constraints: Constraints,
        ended: Collection[ServerDestination],
    ) -> _Difference:
        found = {} if held is None else held.destinations
        kept = [each for each in _sorted(wanted.destinations) if each in found]
        left = [each for each in _sorted(found) if each not in wanted.destinations]
        drains = constraints.drains and wanted.protocol is not Protocol.UDP
        drained = [
            each
            for each in left
            if drains and found[each].forwarding is not None and ServerDestination(wanted.key, each) not in ended
        ]
        return cls(
            wanted,
            held,
            found,
            added=tuple(each for each in _sorted(wanted.destinations) if each not in found),
            replaced=tuple(each for each in kept if found[each].forwarding is not wanted.forwarding),
            revived=tuple(
                each
                for each in kept
                if found[each].forwarding is wanted.forwarding and found[each].weight != SERVING_WEIGHT
            ),
            drained=tuple(drained),
            removed=tuple(each for each in left if each not in drained),
        )

    def steps(self) -> Iterator[ServerStep]:
        """Nothing where nothing differs."""
        key, forwarding = self.wanted.key, self.wanted.forwarding
        if self.held is None:
            yield AddServer(key, self.wanted.scheduling)
        elif self.held.scheduling != self.wanted.scheduling:
            yield EditServer(key, self.wanted.scheduling)
        yield from (AddDestination(key, each, SERVING_WEIGHT, forwarding) for each in self.added)
        for each in self.replaced:
            yield RemoveDestination(key, each)
            yield AddDestination(key, each, SERVING_WEIGHT, forwarding)
        yield from (EditDestination(key, each, SERVING_WEIGHT, forwarding) for each in self.revived)
        for each in self.drained:
            found = self.found[each]
            if not found.is_draining:
                yield EditDestination(key, each, DRAINING_WEIGHT, found.forwarding or Forwarding.MASQUERADE)
        yield from (RemoveDestination(key, each) for each in self.removed)

    def switches(self) -> bool:
        """True where the server has another scheduler than it should; its flags change without a gap."""
        return self.held is not None and self.held.scheduling.scheduler != self.wanted.scheduling.scheduler

    def draining(self) -> Iterator[ServerDestination]:
        return (ServerDestination(self.wanted.key, each) for each in self.drained)

    def stale(self) -> Iterator[ServerDestination]:
        """Datagrams that came before there was a server were the node's own, and conntrack remembers that."""
        key = self.wanted.key
        if not isinstance(key, ServerAddress) or key.protocol is not Protocol.UDP:
            return
        yield from self.older()
        yield from (ServerDestination(key, each) for each in (*self.replaced, *self.removed))

    def older(self) -> Iterator[ServerDestination]:
        """Such connections count as judged, wherever the server would send what comes by them (X5)."""
        key = self.wanted.key
        if self.held is None and isinstance(key, ServerAddress):
            yield ServerDestination(key, Destination(key.address, key.port))


def _is_others(key: ServerKey, held: Collection[ServerKey], constraints: Constraints) -> bool:
    return key in held or (isinstance(key, ServerAddress) and constraints.is_disputed(key.address))


def _may_go(key: ServerKey, constraints: Constraints) -> bool:
    return not (isinstance(key, ServerAddress) and any(key.address in network for network in constraints.excluded))


def _datagrams_to(server: HeldServer) -> Iterator[ServerDestination]:
    """Where the server sent datagrams; nothing of another protocol."""
    if isinstance(server.key, ServerAddress) and server.key.protocol is Protocol.UDP:
        yield from (ServerDestination(server.key, each) for each in server.destinations)


def _in_order(servers: Mapping[ServerKey, Server]) -> list[tuple[ServerKey, Server]]:
    return sorted(servers.items(), key=lambda item: str(item[0]))


def _sorted(destinations: Collection[Destination]) -> list[Destination]:
    return sorted(destinations, key=lambda each: (each.address.packed, each.port))
