"""Whether a rule's parts match an opening packet (B7, B9-B11, V3-V7, G10)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import repeat

from netpol.model.networks import IPBlock
from netpol.model.objects import Namespace
from netpol.model.policies import Peer, PodPeer, PolicyRule
from netpol.model.ports import NumericPorts, PortEntry
from netpol.policy.judgement import Connection, End, PodEnd

Namespaces = Mapping[str, Namespace]


def rule_matches(rule: PolicyRule, peer: End, connection: Connection, namespaces: Namespaces) -> bool:
    """True where the rule allows `connection` with the end that its list calls the peer: both parts match (B7)."""
    return ports_match(rule.ports, connection) and peers_match(rule.peers, peer, namespaces)


def ports_match(entries: tuple[PortEntry, ...] | None, connection: Connection) -> bool:
    """True where a rule's list of port entries allows the connection's protocol and port (G10, V3)."""
    return entries is None or any(map(entry_matches, entries, repeat(connection)))


def peers_match(peers: tuple[Peer, ...] | None, end: End, namespaces: Namespaces) -> bool:
    """True where a rule's list of peers names the end (V3)."""
    return peers is None or any(map(peer_matches, peers, repeat(end), repeat(namespaces)))


def entry_matches(entry: PortEntry, connection: Connection) -> bool:
    """True where the entry names the connection's protocol and port.

    A name means what the destination pod says it means, and nothing on any other destination (V7). ICMP is in no
    entry (G10).
    """
    if entry.protocol is not connection.protocol or connection.port is None:
        return False
    if isinstance(entry, NumericPorts):
        return connection.port in entry.ports
    destination = connection.destination
    return isinstance(destination, PodEnd) and connection.port in destination.pod.numbers_of(entry.name, entry.protocol)


def peer_matches(peer: Peer, end: End, namespaces: Namespaces) -> bool:
    """True where the end is among those the peer names: pods by labels (V9: no nodes), anything by address."""
    if isinstance(peer, IPBlock):
        return end.address is not None and end.address in peer
    return isinstance(end, PodEnd) and namespace_matches(peer, end, namespaces) and peer.pods.matches(end.pod.labels)


def namespace_matches(peer: PodPeer, end: PodEnd, namespaces: Namespaces) -> bool:
    """True where the pod's namespace is among the peer's; one that is not known matches no selector (X2)."""
    if peer.namespace_selector is None:
        return end.pod.namespace == peer.namespace
    namespace = namespaces.get(end.pod.namespace)
    return namespace is not None and peer.namespace_selector.matches(namespace.labels)
