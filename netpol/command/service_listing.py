"""The virtual servers of a node with the services that have them: whose each is, and what it is for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple

from netpol.compiler.ruleset import AddressPort, IpSet
from netpol.model.networks import Address, Family
from netpol.model.ports import Protocol
from proxy.model import Destination, HeldDestination, HeldServer, ServerAddress, ServerKey, ServerMark
from proxy.names import MARK_BASE, MARK_MASK, addresses_set, owned_set
from proxy.services.direct_return import mark_of


class Record(NamedTuple):
    """What the kernel's record of a virtual server says: the service's port, and what the server is for."""

    title: str
    origin: str


NO_RECORD = Record("", "")

_MARKING = re.compile(r"-d (?P<address>[0-9a-f.:]+)/\d+ .*-p (?P<protocol>tcp|udp|sctp) .*--dport (?P<port>\d+) ")


@dataclass(frozen=True, slots=True)
class ListedServer:
    """A virtual server, where clients reach it, and for which service; None for a mark that nobody recorded."""

    held: HeldServer
    address: ServerAddress | None
    record: Record
    is_ours: bool

    @property
    def namespace(self) -> str:
        """The service's; empty where none is recorded."""
        return self.record.title.partition("/")[0]

    @property
    def name(self) -> str:
        """The service's; empty where none is recorded."""
        return self.record.title.partition("/")[2].rpartition(":")[0]

    @property
    def where(self) -> str:
        """What clients ask for, else the mark that packets have."""
        return str(self.address or self.held.key)

    @property
    def destinations(self) -> list[tuple[Destination, HeldDestination]]:
        """The endpoints, in the order of their addresses."""
        return sorted(self.held.destinations.items(), key=lambda each: (each[0].address.packed, each[0].port))


def listed_servers(
    held: Iterable[HeldServer], sets: Mapping[str, IpSet], marking: Iterable[str] = ()
) -> list[ListedServer]:
    """The virtual servers, ours first and by service, as the service proxy's sets tell of them.

    `marking` are the rules that mark packets of direct return. Those of others are known by that nothing tells of them.
    """
    records = _records(sets)
    marks = {mark_of(key): key for key in _marked(marking)}
    addresses = _addresses(sets)
    found = []
    for server in held:
        key = server.key if isinstance(server.key, ServerAddress) else marks.get(server.key)
        record = NO_RECORD if key is None else records.get(key, NO_RECORD)
        is_ours = record is not NO_RECORD or _is_marked(server.key) or (key is not None and key.address in addresses)
        found.append(ListedServer(server, key, record, is_ours))
    return sorted(found, key=_place)


def _records(sets: Mapping[str, IpSet]) -> dict[ServerAddress, Record]:
    found = {}
    for family in Family:
        for member in sets[owned_set(family)].members if owned_set(family) in sets else ():
            if isinstance(member, AddressPort):
                title, _, origin = member.comment.partition(" ")
                key = ServerAddress(ip_address(member.packed), member.protocol, member.port)
                found[key] = Record(title, origin)
    return found


def _marked(rules: Iterable[str]) -> Iterator[ServerAddress]:
    """What clients ask for whose packets get a mark."""
    for found in filter(None, map(_MARKING.search, rules)):
        yield ServerAddress(ip_address(found["address"]), Protocol(found["protocol"].upper()), int(found["port"]))


def _addresses(sets: Mapping[str, IpSet]) -> set[Address]:
    held = (sets[name].members for family in Family if (name := addresses_set(family)) in sets)
    return {ip_address(member) for members in held for member in members if isinstance(member, bytes)}


def _is_marked(key: ServerKey) -> bool:
    return isinstance(key, ServerMark) and key.mark & MARK_MASK == MARK_BASE


def _place(server: ListedServer) -> tuple[bool, str, str, int, bytes, int, str]:
    key = server.address
    packed, port = (b"", 0) if key is None else (key.address.packed, key.port)
    record = server.record
    return not server.is_ours, record.title, record.origin, len(packed), packed, port, str(server.held.key)
