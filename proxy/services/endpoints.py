"""Which endpoints serve a service's port here, by their conditions (KEP-1669) and the hints of who should use them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from netpol.model.networks import Address, Family, family_of
from netpol.model.services import Endpoint, EndpointGroup, ServicePort, TrafficPolicy
from proxy.claims.special_addresses import speciality
from proxy.model import Destination


@dataclass(frozen=True, slots=True)
class NodeTopology:
    """What hints know this node by; `zone` is "" where nobody says."""

    node: str
    zone: str = ""


@dataclass(frozen=True, slots=True)
class ChosenEndpoints:
    """The endpoints that traffic goes to, and those of them that are on this node."""

    destinations: frozenset[Destination] = frozenset()
    local: frozenset[Destination] = frozenset()


class _Candidate(NamedTuple):
    """An endpoint that may be chosen: `ready`, or terminating and still serving. `local` is on this node."""

    ready: bool
    local: bool
    node_hints: frozenset[str]
    zone_hints: frozenset[str]


_Candidates = Mapping[Destination, _Candidate]


def choose(
    groups: Iterable[EndpointGroup], port: ServicePort, family: Family, policy: TrafficPolicy, topology: NodeTopology
) -> ChosenEndpoints:
    """The endpoints of the family that serve the port for who comes by a policy.

    These are the ready ones; where none is, those that are terminating and still serving. Of LOCAL only this
    node's are considered, so that the others' being ready changes nothing. Hints count for CLUSTER, and for what
    is ready: what is terminating is a last resort, wherever it is.
    """
    candidates = _candidates(groups, port, family, topology)
    if policy is TrafficPolicy.LOCAL:
        candidates = {each: known for each, known in candidates.items() if known.local}
    ready = {each: known for each, known in candidates.items() if known.ready}
    chosen = (_hinted(ready, topology) if policy is TrafficPolicy.CLUSTER else ready) or candidates
    return ChosenEndpoints(frozenset(chosen), frozenset(each for each, known in chosen.items() if known.local))


def ready_on_node(groups: Iterable[EndpointGroup], families: Collection[Family], topology: NodeTopology) -> int:
    """How many endpoints of this node are ready, however many ports each serves on (the health check's node port).

    An endpoint of two families has an address of each: it is one, so the family that has more of them counts.
    """
    found: dict[Family, set[Address]] = {family: set() for family in families}
    for group in groups:
        for each in group.endpoints if group.ports else ():
            family = family_of(each.address)
            if family in found and each.ready and _is_local(each, topology) and not speciality(each.address):
                found[family].add(each.address)
    return max(map(len, found.values()), default=0)


def _candidates(
    groups: Iterable[EndpointGroup], port: ServicePort, family: Family, topology: NodeTopology
) -> _Candidates:
    """Who may be chosen for the port. Of several conditions that one endpoint is said to be in, the best counts."""
    found: dict[Destination, _Candidate] = {}
    for endpoint, number in _endpoints(groups, port):
        address = endpoint.address
        if family_of(address) is not family or speciality(address):
            continue
        if endpoint.ready or (endpoint.serving and endpoint.terminating):
            candidate = _Candidate(
                endpoint.ready, _is_local(endpoint, topology), endpoint.node_hints, endpoint.zone_hints
            )
            destination = Destination(address, number)
            known = found.get(destination)
            found[destination] = candidate if known is None else _best(known, candidate)
    return found


def _endpoints(groups: Iterable[EndpointGroup], port: ServicePort) -> Iterator[tuple[Endpoint, int]]:
    """Every endpoint with the number it gives the service's port: each group has one of its own."""
    for group in groups:
        for own in group.ports:
            if own.name == port.name and own.protocol is port.protocol:
                yield from ((endpoint, own.number) for endpoint in group.endpoints)


def _is_local(endpoint: Endpoint, topology: NodeTopology) -> bool:
    return endpoint.node != "" and endpoint.node == topology.node


def _best(one: _Candidate, other: _Candidate) -> _Candidate:
    """The better of the two; of equal ones all that either is for, whichever of them came first."""
    if one.ready is not other.ready:
        return one if one.ready else other
    return _Candidate(
        one.ready,
        one.local or other.local,
        _either(one.node_hints, other.node_hints),
        _either(one.zone_hints, other.zone_hints),
    )


def _either(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    """Who is hinted by one or the other; everybody, as soon as one of them has no hint."""
    return one | other if one and other else frozenset()


def _hinted(ready: _Candidates, topology: NodeTopology) -> _Candidates:
    """Those hinted for this node, else those for its zone; all, where not every one has such a hint or none fits."""
    if all(each.node_hints for each in ready.values()):
        near = {destination: each for destination, each in ready.items() if topology.node in each.node_hints}
        if near:
            return near
    if topology.zone and all(each.zone_hints for each in ready.values()):
        near = {destination: each for destination, each in ready.items() if topology.zone in each.zone_hints}
        if near:
            return near
    return ready
