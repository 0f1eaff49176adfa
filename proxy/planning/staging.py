"""What sets hold while virtual servers change, so that a crash leaves nothing unrecorded and nothing open: pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from netpol.compiler.names import services_set
from netpol.compiler.ruleset import AddressPort, AddressPortNetwork, IpSet, Member
from netpol.dataplane.members import key as identity
from netpol.model.networks import Address, Family
from netpol.model.ports import Protocol
from proxy import names
from proxy.model import ServerAddress, ServerKey

_PERMITTING = frozenset(
    name(family) for family in Family for name in (services_set, names.served_set, names.sources_set)
)
"""The sets that let packets in. What the others say is either a record, or what keeps packets out or their answers.

So a server without endpoints refuses before IPVS has lost the last one, and until it has the first.
"""

_OF_SERVERS = frozenset(
    name(family)
    for family in Family
    for name in (
        services_set,
        names.served_set,
        names.empty_set,
        names.owned_set,
        names.restricted_set,
        names.sources_set,
    )
)
"""The sets whose members name a virtual server first."""

_MOMENTARY = frozenset(map(names.switching_set, Family))
"""The sets that have members during one message to IPVS alone: what is there at any other time was left by a crash."""

_ADDRESSES = frozenset(map(names.addresses_set, Family))

_Asked = tuple[bytes, Protocol, int]


def meanwhile(desired: Iterable[IpSet], held: Mapping[str, IpSet]) -> dict[str, IpSet]:
    """The sets by name as they are to be while servers change from what is held to what is desired.

    What lets packets in lets in only what it does before and after; what else there is, has all of both.
    """
    return {each.name: _between(each, held.get(each.name)) for each in desired}


def switching(switched: Iterable[ServerKey]) -> dict[str, frozenset[Member]]:
    """The members by set of the servers that clients wait for while these are switched.

    Who sends datagrams does not ask again, and is better off where most get through.
    """
    found: dict[str, set[Member]] = {}
    for key in switched:
        if isinstance(key, ServerAddress) and key.protocol is not Protocol.UDP:
            member = AddressPort(key.address.packed, key.protocol, key.port)
            found.setdefault(names.switching_set(key.family), set()).add(member)
    return {name: frozenset(members) for name, members in found.items()}


def spared(sets: Mapping[str, IpSet], conflicts: Collection[ServerKey]) -> dict[str, IpSet]:
    """The sets without what they say of servers that are left to others, and without their addresses."""
    others = _asked_for(conflicts)
    if not others:
        return dict(sets)
    addresses = frozenset(packed for packed, _, _ in others)
    return {
        name: replace(each, members=each.members - (addresses if name in _ADDRESSES else _about(each, others)))
        for name, each in sets.items()
    }


def held_back(sets: Mapping[str, IpSet], held: Mapping[str, IpSet], refused: Collection[ServerKey]) -> dict[str, IpSet]:
    """The sets, but what they say of the refused servers is as in `held`."""
    others = _asked_for(refused)
    if not others:
        return dict(sets)
    return {
        name: replace(each, members=(each.members - _about(each, others)) | _about(held[name], others))
        for name, each in sets.items()
    }


def bound(addresses: Iterable[Address], conflicts: Collection[ServerKey]) -> frozenset[Address]:
    """Those of the addresses that are to be on the link: what others serve is theirs to have."""
    others = {each.address for each in conflicts if isinstance(each, ServerAddress)}
    return frozenset(addresses) - others


def _between(desired: IpSet, held: IpSet | None) -> IpSet:
    known = frozenset() if held is None or held.type is not desired.type else held.members
    if desired.name in _MOMENTARY:
        return desired
    if desired.name in _PERMITTING:
        return replace(desired, members=desired.members & known)
    new = {identity(member) for member in desired.members - known}
    leaving = (member for member in known - desired.members if identity(member) not in new)
    return replace(desired, members=desired.members.union(leaving))


def _asked_for(servers: Iterable[ServerKey]) -> frozenset[_Asked]:
    return frozenset(
        (each.address.packed, each.protocol, each.port) for each in servers if isinstance(each, ServerAddress)
    )


def _about(found: IpSet, servers: Collection[_Asked]) -> frozenset[Member]:
    """The members that name one of the servers."""
    if found.name not in _OF_SERVERS:
        return frozenset()
    return frozenset(
        member
        for member in found.members
        if isinstance(member, AddressPort | AddressPortNetwork)
        and (member.packed, member.protocol, member.port) in servers
    )
