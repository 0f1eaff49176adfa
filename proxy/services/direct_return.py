"""Which services may be answered by their endpoints directly, past this node.

Packets to them are told by a mark instead of their address, which must not be this node's own: the kernel
drops what comes in with a source that is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple, TypeVar

from netpol.model.networks import Address, Family
from netpol.model.services import EndpointGroup, Service
from netpol.model.snapshot import ObjectName
from proxy.claims.claims import Granted
from proxy.model import ServerAddress, ServerMark
from proxy.names import MARK_BASE, MARK_MASK

Key = TypeVar("Key", Address, ServerMark)


def mark_of(key: ServerAddress) -> ServerMark:
    """The mark of packets to this address, protocol and port: the same on every node and in every run.

    >>> from netpol.model.networks import parse_address
    >>> from netpol.model.ports import Protocol
    >>> str(mark_of(ServerAddress(parse_address("192.0.2.1"), Protocol.TCP, 80)))
    'mark 0x4ec56323 of IPv4'
    """
    digest = hashlib.sha256(str(key).encode()).digest()
    return ServerMark(key.family, MARK_BASE | int.from_bytes(digest[:4], "big") & ~MARK_MASK)


class Wish(NamedTuple):
    """What a service has to do with direct return.

    `addresses` are those that it has from outside the cluster, asked for or not. `keys` are what it would be
    answered directly for, none where that was not asked for; `obstacle` says what in the service itself stands
    in the way, "" being nothing.
    """

    addresses: frozenset[Address] = frozenset()
    keys: frozenset[ServerAddress] = frozenset()
    obstacle: str = ""


def wish_of(service: Service, groups: Iterable[EndpointGroup], granted: Granted, families: Collection[Family]) -> Wish:
    """What the service wishes that is granted this; of node ports and cluster addresses nothing is wished."""
    keys = frozenset(
        key for key, grant in granted.servers.items() if grant.origin.has_outside_address and key.family in families
    )
    addresses = frozenset(key.address for key in keys)
    return Wish(addresses, keys, next(_translations(service, groups), "")) if service.direct_return else Wish(addresses)


def _translations(service: Service, groups: Iterable[EndpointGroup]) -> Iterator[str]:
    """Ports that would have to be translated, for endpoints get packets as clients send them."""
    numbers = {(port.name, port.protocol): port for port in service.ports}
    for group in groups:
        for target in group.ports if group.endpoints else ():
            port = numbers.get((target.name, target.protocol))
            if port is not None and port.number != target.number:
                yield f"endpoints of port {port} listen on {target.number}: a packet goes to them as it is"


class DirectReturns:
    """What stands in the way of direct return, by service, kept while services change.

    Two services may have the same mark: the first by name has it. And two may share an address: where one of
    them is served by translation, the address is this node's own, and the other has to be as well.
    """

    def __init__(self) -> None:
        self._wishes: dict[ObjectName, Wish] = {}
        self._asking: dict[Address, set[ObjectName]] = {}
        self._others: dict[Address, set[ObjectName]] = {}
        self._marked: dict[ServerMark, set[ObjectName]] = {}
        self._obstacles: dict[ObjectName, str] = {}

    def obstacle(self, name: ObjectName) -> str:
        """Why the service is not answered directly, in words; "" where it is, or does not ask for it."""
        return self._obstacles.get(name, "")

    def put(self, name: ObjectName, wish: Wish | None) -> frozenset[ObjectName]:
        """The service wishes this, None being gone; returns whose obstacle is another than before."""
        former = self._wishes.get(name)
        if former == wish:
            return frozenset()
        concerned = self._neighbours(name)
        if former is not None:
            self._forget(name, former)
        if wish is not None:
            self._remember(name, wish)
        return frozenset(self._settle({name} | concerned | self._neighbours(name)))

    def _remember(self, name: ObjectName, wish: Wish) -> None:
        self._wishes[name] = wish
        for address in wish.addresses:
            (self._asking if wish.keys else self._others).setdefault(address, set()).add(name)
        for key in wish.keys:
            self._marked.setdefault(mark_of(key), set()).add(name)

    def _forget(self, name: ObjectName, wish: Wish) -> None:
        del self._wishes[name]
        for address in wish.addresses:
            _discard(self._asking if wish.keys else self._others, address, name)
        for mark in {mark_of(key) for key in wish.keys}:
            _discard(self._marked, mark, name)

    def _neighbours(self, name: ObjectName) -> set[ObjectName]:
        """Those that ask for direct return and share an address or a mark with the service."""
        wish = self._wishes.get(name, _NOTHING)
        sharing = (self._asking.get(address, ()) for address in wish.addresses)
        return set().union(*sharing, *(self._marked[mark_of(key)] for key in wish.keys))

    def _settle(self, concerned: Iterable[ObjectName]) -> Iterator[ObjectName]:
        """Their obstacles are as of now, and those of whoever depends on them; those that have another come back."""
        settled: set[ObjectName] = set()
        for name in concerned:
            if name not in settled:
                obstacles = self._judge(name)
                settled.update(obstacles)
                for each, obstacle in obstacles.items():
                    if self._obstacles.pop(each, "") != obstacle:
                        yield each
                    if obstacle:
                        self._obstacles[each] = obstacle

    def _judge(self, name: ObjectName) -> dict[ObjectName, str]:
        """The obstacles of the service and of all that are tied to it by addresses, directly or by others between."""
        tied, found = {name}, [name]
        spoilers: set[ObjectName] = set()
        obstacles: dict[ObjectName, str] = {}
        while found:
            each = found.pop()
            wish = self._wishes.get(each, _NOTHING)
            obstacles[each] = self._own_obstacle(each, wish) if wish.keys else ""
            for address in wish.addresses if wish.keys else ():
                spoilers.update(self._others.get(address, ()))
                new = self._asking[address] - tied
                tied |= new
                found += new
        spoilers.update(each for each, obstacle in obstacles.items() if obstacle)
        if spoilers:
            shared = f"{'/'.join(min(spoilers))}, which shares addresses with it, is not answered directly"
            return {each: obstacle or (shared if self._asks(each) else "") for each, obstacle in obstacles.items()}
        return obstacles

    def _asks(self, name: ObjectName) -> bool:
        return bool(self._wishes.get(name, _NOTHING).keys)

    def _own_obstacle(self, name: ObjectName, wish: Wish) -> str:
        marks = {mark_of(key) for key in wish.keys}
        first = min(min(self._marked[mark]) for mark in marks)
        if first != name:
            return wish.obstacle or f"{'/'.join(first)} has its mark"
        return wish.obstacle or ("two of its ports have the same mark" if len(marks) < len(wish.keys) else "")


_NOTHING = Wish()


def _discard(names: dict[Key, set[ObjectName]], key: Key, name: ObjectName) -> None:
    names[key].discard(name)
    if not names[key]:
        del names[key]
