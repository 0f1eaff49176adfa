"""Terms: the peers that one shared set stands for.

A term's set is named by the digest of what it means, so every pod whose rules mean the
same shares it, and a peer that comes or goes is one message to one set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from netpol.compiler import names
from netpol.compiler.ruleset import AddressPort, IpSet, Member, NetworkMember, SetType
from netpol.model.networks import Family, IPBlock, Network, family_of
from netpol.model.policies import Peer, PodPeer
from netpol.model.ports import NamedPort
from netpol.policy.resolve import Holder, Resolver


@dataclass(frozen=True, slots=True)
class Pods:
    """The addresses of the pods a peer means."""

    peer: PodPeer

    def __str__(self) -> str:
        return str(self.peer)


@dataclass(frozen=True, slots=True)
class Networks:
    """Every address of these networks, all of one family: the blocks of one rule that have no holes."""

    networks: frozenset[Network]

    def __str__(self) -> str:
        return ", ".join(sorted(map(str, self.networks)))


@dataclass(frozen=True, slots=True)
class Block:
    """The addresses of a block with holes; never merged with another, whose addresses may fill them (V5)."""

    block: IPBlock

    def __str__(self) -> str:
        return str(self.block)


@dataclass(frozen=True, slots=True)
class NamedDestination:
    """The addresses of pods, each with the numbers it gives a port's name (V7); `peer` None means any pod."""

    peer: Peer | None
    port: NamedPort

    def __str__(self) -> str:
        return f"port {self.port} of {'any pod' if self.peer is None else self.peer}"


Term = Pods | Networks | Block | NamedDestination


def peer_terms(peers: Iterable[Peer]) -> Iterator[Term]:
    """The terms that together mean these peers."""
    whole: dict[Family, set[Network]] = {}
    for peer in peers:
        if isinstance(peer, PodPeer):
            yield Pods(peer)
        elif peer.excepts:
            yield Block(peer)
        else:
            whole.setdefault(family_of(peer.network), set()).add(peer.network)
    for networks in whole.values():
        yield Networks(frozenset(networks))


def term_sets(term: Term, families: Iterable[Family], resolver: Resolver) -> tuple[IpSet, ...]:
    """The term's sets with their members, one for each family that it can concern (G4)."""
    match term:
        case Pods(peer):
            members = {address.packed for holder in resolver.select(peer) for address in holder.addresses}
            return tuple(
                _set("P", SetType.ADDRESSES, family, term, (m for m in members if len(m) * 8 == family.bits))
                for family in families
            )
        case NamedDestination():
            pairs = set(_named_members(term, resolver))
            return tuple(
                _set("Q", SetType.ADDRESS_PORTS, family, term, (m for m in pairs if len(m.packed) * 8 == family.bits))
                for family in families
            )
        case Networks(networks):
            family = family_of(next(iter(networks)))
            whole = (
                NetworkMember(n.network_address.packed, n.prefixlen) for network in networks for n in halved(network)
            )
            return (_set("N", SetType.NETWORKS, family, term, whole),) if family in families else ()
        case Block(block):
            family = family_of(block.network)
            return (_set("B", SetType.NETWORKS, family, term, block_members(block)),) if family in families else ()


def _set(kind: str, set_type: SetType, family: Family, term: Term, members: Iterable[Member]) -> IpSet:
    name = names.shared_set(kind, family, str(term))
    return IpSet(name, set_type, family, frozenset(members), meaning=str(term))


def _named_members(term: NamedDestination, resolver: Resolver) -> Iterator[AddressPort]:
    for holder, addresses in _named_candidates(term.peer, resolver):
        for number in holder.pod.numbers_of(term.port.name, term.port.protocol):
            for packed in addresses:
                yield AddressPort(packed, term.port.protocol, number)


def _named_candidates(peer: Peer | None, resolver: Resolver) -> Iterator[tuple[Holder, list[bytes]]]:
    holders = resolver.select(peer) if isinstance(peer, PodPeer) else resolver.everyone()
    for holder in holders:
        inside = [a.packed for a in holder.addresses if not isinstance(peer, IPBlock) or a in peer]
        yield holder, inside


def halved(network: Network) -> tuple[Network, ...]:
    """The networks a hash:net can hold that together equal `network`.

    hash:net refuses a zero-length prefix, so a default route becomes its two halves.

    >>> import ipaddress
    >>> halved(ipaddress.ip_network("::/0"))
    (IPv6Network('::/1'), IPv6Network('8000::/1'))
    """
    return tuple(network.subnets()) if network.prefixlen == 0 else (network,)


def block_members(block: IPBlock) -> frozenset[NetworkMember]:
    """The block as members of a hash:net, its holes as `nomatch`.

    A hole that is a whole half of a default route leaves no half to match, hence needs no member.
    """
    whole = {n for n in halved(block.network) if n not in block.excepts}
    holes = {hole for hole in block.excepts if any(_contains(n, hole) for n in whole)}
    return frozenset(
        {NetworkMember(n.network_address.packed, n.prefixlen) for n in whole}
        | {NetworkMember(n.network_address.packed, n.prefixlen, nomatch=True) for n in holes}
    )


def _contains(outer: Network, inner: Network) -> bool:
    return outer.prefixlen < inner.prefixlen and inner.network_address in outer
