"""Terms: the peers that one shared set stands for.

A term's set is named by the digest of what it means, so every pod whose rules mean the
same shares it, and a peer that comes or goes is one message to one set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from netpol.compiler import names
from netpol.compiler.ruleset import AddressPort, IpSet, NetworkMember, SetType
from netpol.model.networks import Family, IPBlock, Network, family_of
from netpol.model.policies import Peer, PodPeer
from netpol.model.ports import NamedPort
from netpol.policy.holders import Holder
from netpol.policy.resolve import Resolver


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


PodTerm = Pods | NamedDestination
"""The terms that mean pods: their sets change as pods come and go."""
Term = PodTerm | Networks | Block


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
    return tuple(
        IpSet(names.shared_set(kind, family, str(term)), set_type, family, frozenset(members), meaning=str(term))
        for family in families
        for kind, set_type, members in _contents(term, family, resolver)
    )


Contribution = Callable[[Holder, Family], Iterable[bytes | AddressPort]]
"""From a holder and a family to what the holder's pod puts into a term's set of that family."""


def contribution(term: PodTerm) -> Contribution:
    """What each holder whose labels the term means puts into its sets; nothing where it lacks the port or the block."""
    if isinstance(term, Pods):
        return lambda holder, family: holder.packed[family]
    port = term.port
    inside = _packed_inside(term.peer) if isinstance(term.peer, IPBlock) else None

    def addresses_and_ports(holder: Holder, family: Family) -> Iterator[AddressPort]:
        for number in holder.pod.numbers_of(port.name, port.protocol):
            for packed in holder.packed[family]:
                if inside is None or inside(packed):
                    yield AddressPort(packed, port.protocol, number)

    return addresses_and_ports


def _contents(
    term: Term, family: Family, resolver: Resolver
) -> Iterator[tuple[str, SetType, Iterable[bytes | NetworkMember | AddressPort]]]:
    """The letter of the set's name, its type and its members in one family; nothing where it cannot have any."""
    match term:
        case Pods():
            yield "P", SetType.ADDRESSES, _pod_members(term, family, resolver)
        case NamedDestination():
            yield "Q", SetType.ADDRESS_PORTS, _pod_members(term, family, resolver)
        case Networks(networks):
            if all(family_of(network) is family for network in networks):
                whole = (n for network in networks for n in halved(network))
                yield "N", SetType.NETWORKS, (NetworkMember(n.network_address.packed, n.prefixlen) for n in whole)
        case Block(block):
            if family_of(block.network) is family:
                yield "B", SetType.NETWORKS, block_members(block)


def _pod_members(term: PodTerm, family: Family, resolver: Resolver) -> Iterator[bytes | AddressPort]:
    contribute = contribution(term)
    return (member for holder in _meant(term, resolver) for member in contribute(holder, family))


def _meant(term: PodTerm, resolver: Resolver) -> Iterable[Holder]:
    """Who can contribute; a selector is walked by its own index: it usually means fewer than share a port's name."""
    if isinstance(term.peer, PodPeer):
        return resolver.select(term.peer)
    return resolver.naming(term.port) if isinstance(term, NamedDestination) else ()


def _packed_inside(block: IPBlock) -> Callable[[bytes], bool]:
    """A test whether a packed address lies in the block, for many addresses: `in` costs ten times as much."""
    length = len(block.network.network_address.packed)
    ranges = [
        (n.network_address.packed, n.broadcast_address.packed) for n in (block.network, *sorted(block.excepts, key=str))
    ]
    (first, last), *holes = ranges

    def inside(packed: bytes) -> bool:
        return len(packed) == length and first <= packed <= last and not any(a <= packed <= z for a, z in holes)

    return inside


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
