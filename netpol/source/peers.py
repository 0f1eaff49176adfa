"""Peers of policy rules (B10, B11, V4, V5)."""

from __future__ import annotations

from netpol.model.labels import EVERYTHING, Selector
from netpol.model.networks import IPBlock, Network, parse_network
from netpol.model.policies import Peer, PodPeer, Semantics
from netpol.source.fields import FieldPath, Fields, Reading, shown
from netpol.source.selectors import decode_selector

_SELECTORS = ("podSelector", "namespaceSelector")


def decode_peer(value: object, at: FieldPath, namespace: str, semantics: Semantics, reading: Reading) -> Peer | None:
    """The peer of a policy in `namespace`, or None where it is not understood: it then matches nothing (M7)."""
    if not isinstance(value, dict):
        reading.wrong(at, f"must be a peer, not {shown(value)}")
        return None
    if not reading.only(value, at, (*_SELECTORS, "ipBlock")):
        return None
    given = [key for key in _SELECTORS if value.get(key) is not None]
    block = value.get("ipBlock")
    if block is not None and semantics is Semantics.ANNOTATION:
        reading.wrong((*at, "ipBlock"), "is ignored: no peer of a policy under the namespace annotation has one")
        block = None
    if block is not None:
        if given:
            reading.wrong(at, f"has an ipBlock and a {given[0]}; an ipBlock stands alone")
            return None
        return _decode_block(block, (*at, "ipBlock"), reading)
    if not given:
        reading.wrong(at, "names no peer known here")
        return None
    if len(given) > 1 and semantics is Semantics.ANNOTATION:
        reading.wrong(at, "has both a podSelector and a namespaceSelector; under the namespace annotation it has one")
        return None
    return _decode_pods(value, at, namespace, reading)


def _decode_pods(peer: Fields, at: FieldPath, namespace: str, reading: Reading) -> PodPeer | None:
    selectors: list[Selector | None] = []
    for key in _SELECTORS:
        selector = None
        if peer.get(key) is not None:
            selector = decode_selector(peer[key], (*at, key), reading)
            if selector is None:
                return None
        selectors.append(selector)
    pods, namespaces = selectors
    if namespaces is None:
        return PodPeer(pods or EVERYTHING, namespace)
    return PodPeer(pods or EVERYTHING, namespace_selector=namespaces)


def _decode_block(value: object, at: FieldPath, reading: Reading) -> IPBlock | None:
    """The block; None where its network or any of its holes is not understood, for a lost hole would widen it."""
    if not isinstance(value, dict):
        reading.wrong(at, f"must be an IP block, not {shown(value)}")
        return None
    before = len(reading.problems)
    reading.only(value, at, ("cidr", "except"))
    network = _decode_network(value.get("cidr"), (*at, "cidr"), reading)
    holes = []
    for index, text in enumerate(reading.sequence(value, at, "except")):
        path = (*at, "except", index)
        hole = _decode_network(text, path, reading)
        if hole is None or network is None:
            continue
        if not _lies_strictly_inside(hole, network):
            reading.wrong(path, f"{shown(text)} does not lie strictly inside {network}")
        holes.append(hole)
    if network is None or len(reading.problems) > before:
        return None
    return IPBlock(network, frozenset(holes))


def _decode_network(value: object, at: FieldPath, reading: Reading) -> Network | None:
    try:
        return parse_network(value if isinstance(value, str) else "")
    except ValueError:
        reading.wrong(at, "is missing" if value is None else f"{shown(value)} is no CIDR")
        return None


def _lies_strictly_inside(inner: Network, outer: Network) -> bool:
    return inner.version == outer.version and inner.prefixlen > outer.prefixlen and inner.network_address in outer
