"""What of the kernel is the service proxy's: chains and sets by their names, virtual servers by what is recorded.

The record of a virtual server at an address is a member of a set, and of one for a mark the comment of the rule that
puts the mark on packets. A set could not tell of the latter: it would claim a server at that address, which may be
somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Mapping
from ipaddress import ip_address
from typing import NamedTuple

from netpol.compiler.ruleset import AddressPort, IpSet, Member, TableName
from netpol.dataplane.ownership import Ownership, Place
from netpol.model.networks import Address, Family
from netpol.model.ports import Protocol
from proxy import names
from proxy.model import ServerAddress, ServerKey, ServerMark, VirtualServer

SERVICE_PROXY = Ownership(names.is_ours, names.is_neighbours, Place.BEHIND, tuple(TableName))
"""Its own, and its neighbour is the firewall: what is let in to a service was judged before."""


class Record(NamedTuple):
    """What the kernel keeps of a virtual server of ours: the service's port, and what the server is for, in words."""

    title: str
    origin: str

    def __str__(self) -> str:
        return f"{self.title} {self.origin}"


class Marking(NamedTuple):
    """What clients ask for whose packets get a mark, and the record of the server for it."""

    address: ServerAddress
    record: Record


def record_of(server: VirtualServer) -> Record:
    """What is recorded of the virtual server.

    >>> from netpol.model.networks import parse_address
    >>> from proxy.model import Origin
    >>> key = ServerAddress(parse_address("10.96.0.1"), Protocol.TCP, 443)
    >>> str(record_of(VirtualServer(key, Origin.CLUSTER, title="default/kubernetes:https")))
    'default/kubernetes:https cluster'
    """
    return Record(server.title, server.origin.value)


def has_records(sets: Mapping[str, IpSet]) -> bool:
    """True where the sets would tell of a virtual server of ours; else those there are were never ours."""
    return any(names.owned_set(family) in sets for family in Family)


def recorded_servers(sets: Mapping[str, IpSet]) -> dict[ServerAddress, Record]:
    """The virtual servers at addresses that are ours, or were about to be, as the sets tell."""
    return {
        ServerAddress(ip_address(member.packed), member.protocol, member.port): _read(member.comment)
        for family in Family
        for member in _members(sets, names.owned_set(family))
        if isinstance(member, AddressPort)
    }


def recorded_addresses(sets: Mapping[str, IpSet]) -> frozenset[Address]:
    """The addresses that are on our link, or were about to be, as the sets tell."""
    return frozenset(
        ip_address(member)
        for family in Family
        for member in _members(sets, names.addresses_set(family))
        if isinstance(member, bytes)
    )


def marked_servers(rules: Iterable[str]) -> dict[ServerMark, Marking]:
    """The virtual servers for marks that are ours, as the rules tell that put marks on packets.

    >>> rule = "-d 192.0.2.1/32 -p tcp -m tcp --dport 80 -m comment --comment"
    >>> found = marked_servers([f'{rule} "shop/web:http external" -j MARK --set-xmark 0x4e000001/0xffffffff'])
    >>> [(str(mark), str(each.address), str(each.record)) for mark, each in found.items()]
    [('mark 0x4e000001 of IPv4', '192.0.2.1:80/TCP', 'shop/web:http external')]
    """
    found = {}
    for each in filter(None, map(_MARKING.search, rules)):
        address = ServerAddress(ip_address(each["address"]), Protocol(each["protocol"].upper()), int(each["port"]))
        found[ServerMark(address.family, int(each["mark"], 16))] = Marking(address, _read(each["words"]))
    return found


def is_ours(key: ServerKey, recorded: Collection[ServerKey], bound: Container[Address]) -> bool:
    """True for a virtual server that is recorded, or that is for a mark of ours.

    Where nothing is recorded at all, those at the addresses `bound` to our link are ours: kube-router, which calls
    its link the same, left them, or the records were lost. Otherwise others may have one beside ours there, at
    another port.
    """
    if isinstance(key, ServerMark):
        return names.is_our_mark(key.mark)
    return key in recorded or (not recorded and key.address in bound)


_MARKING = re.compile(
    r"-d (?P<address>[0-9a-f.:]+)/\d+ .*-p (?P<protocol>tcp|udp|sctp) .*--dport (?P<port>\d+) "
    r'.*--comment "?(?P<words>[^"]*)"? -j MARK --set-xmark (?P<mark>0x[0-9a-f]+)/'
)


def _members(sets: Mapping[str, IpSet], name: str) -> Iterable[Member]:
    return sets[name].members if name in sets else ()


def _read(words: str) -> Record:
    """The record that these are the words of."""
    title, _, origin = words.partition(" ")
    return Record(title, origin)
