"""The endpoints of services, from EndpointSlices and from the Endpoints objects that older servers have instead.

An endpoint or a port that cannot be understood is noticed and passed over; the others beside it serve.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from netpol.model.networks import parse_address
from netpol.model.notices import Notice
from netpol.model.ports import PROTOCOLS_WITH_PORTS, Protocol
from netpol.model.services import Endpoint, EndpointGroup, EndpointPort, EndpointSlice
from netpol.model.snapshot import ObjectName
from netpol.source.addresses import read_address
from netpol.source.fields import FieldPath, Fields, Reading, render, shown
from netpol.source.objects import Identity, read_identity
from netpol.source.ports import is_port

SERVICE_LABEL = "kubernetes.io/service-name"
HEADLESS_LABEL = "service.kubernetes.io/headless"
_HOST_LABEL = "kubernetes.io/hostname"
_METADATA: FieldPath = ("metadata",)
_NOBODY: frozenset[str] = frozenset()

_known_address = lru_cache(20_000)(parse_address)
"""A slice comes whole with every change of one of its endpoints, and a pod stands behind several services."""


def decode_endpoint_slice(fields: Fields) -> tuple[EndpointSlice, tuple[Notice, ...]]:
    """The slice, of v1 or v1beta1, and what of it was not understood.

    One of host names has no endpoints, nor has one that a headless service has: no proxy sends there.
    """
    reading, noticed = Reading(), Reading()
    metadata = reading.mapping(fields, (), "metadata")
    identity = read_identity(metadata, reading)
    labels = reading.mapping(metadata, _METADATA, "labels")
    service = reading.text(labels, (*_METADATA, "labels"), SERVICE_LABEL)
    groups: tuple[EndpointGroup, ...] = ()
    if service and HEADLESS_LABEL not in labels and fields.get("addressType") != "FQDN":
        groups = _groups(
            tuple(_endpoints(fields, reading, noticed)),
            tuple(_ports(fields, (), reading, noticed)),
        )
    reading.unless_malformed()
    return EndpointSlice(identity.namespace, identity.name, service, groups), _notices(identity, noticed)


def decode_endpoints(fields: Fields) -> tuple[EndpointSlice, tuple[Notice, ...]]:
    """The Endpoints object as a slice of the service that has its name, and what of it was not understood."""
    reading, noticed = Reading(), Reading()
    metadata = reading.mapping(fields, (), "metadata")
    identity = read_identity(metadata, reading)
    groups: tuple[EndpointGroup, ...] = ()
    if HEADLESS_LABEL not in reading.mapping(metadata, _METADATA, "labels"):
        for path, subset in reading.mappings(fields, (), "subsets"):
            ready = _addressed(subset, path, "addresses", reading, noticed)
            others = _addressed(subset, path, "notReadyAddresses", reading, noticed)
            groups += _groups((*ready, *others), tuple(_ports(subset, path, reading, noticed)))
    reading.unless_malformed()
    return EndpointSlice(identity.namespace, identity.name, identity.name, groups), _notices(identity, noticed)


def with_endpoints(
    slices: Mapping[ObjectName, EndpointSlice], endpoints: Mapping[ObjectName, EndpointSlice]
) -> dict[ObjectName, EndpointSlice]:
    """The slices, and the Endpoints objects of those services that have none: a server of today shows both of each."""
    sliced = {(each.namespace, each.service) for each in slices.values()}
    return {
        # A slice may be called what another service is called; no object is called anything with a slash.
        **{
            (namespace, f"{name}/endpoints" if (namespace, name) in slices else name): each
            for (namespace, name), each in endpoints.items()
            if (each.namespace, each.service) not in sliced
        },
        **slices,
    }


def _groups(endpoints: tuple[Endpoint, ...], ports: tuple[EndpointPort, ...]) -> tuple[EndpointGroup, ...]:
    return (EndpointGroup(endpoints, ports),) if endpoints else ()


def _notices(identity: Identity, noticed: Reading) -> tuple[Notice, ...]:
    namespace, name = identity.namespace, identity.name
    return tuple(Notice("EndpointSlice", namespace, name, render(each.path), each.message) for each in noticed.problems)


def _endpoints(fields: Fields, reading: Reading, noticed: Reading) -> Iterator[Endpoint]:
    for path, entry in reading.mappings(fields, (), "endpoints"):
        before = len(noticed.problems)
        found = _endpoint(entry, path, noticed)
        if found is not None and len(noticed.problems) == before:
            yield found


def _endpoint(entry: Fields, at: FieldPath, noticed: Reading) -> Endpoint | None:
    """The endpoint at the first of its addresses: the others are other ways to the same one."""
    stated = noticed.sequence(entry, at, "addresses")
    address = read_address(stated[0] if stated else None, (*at, "addresses", 0), noticed, _known_address)
    if address is None:
        return None
    conditions = noticed.mapping(entry, at, "conditions")
    states = (*at, "conditions")
    ready = _condition(conditions, states, "ready", noticed, unknown=True)
    hints = noticed.mapping(entry, at, "hints")
    return Endpoint(
        address,
        noticed.text(entry, at, "nodeName") or _host(entry, at, noticed),
        ready,
        _condition(conditions, states, "serving", noticed, unknown=ready),
        _condition(conditions, states, "terminating", noticed, unknown=False),
        _hinted(hints, at, "forZones", noticed),
        _hinted(hints, at, "forNodes", noticed),
    )


def _host(entry: Fields, at: FieldPath, noticed: Reading) -> str:
    """The node as v1beta1 names it."""
    return noticed.text(noticed.mapping(entry, at, "topology"), (*at, "topology"), _HOST_LABEL)


def _condition(conditions: Fields, at: FieldPath, key: str, noticed: Reading, *, unknown: bool) -> bool:
    return unknown if conditions.get(key) is None else noticed.flag(conditions, at, key)


def _hinted(hints: Fields, at: FieldPath, key: str, noticed: Reading) -> frozenset[str]:
    if hints.get(key) is None:
        return _NOBODY
    path = (*at, "hints")
    return frozenset(noticed.text(each, own, "name") for own, each in noticed.mappings(hints, path, key)) - {""}


def _addressed(subset: Fields, at: FieldPath, key: str, reading: Reading, noticed: Reading) -> Iterator[Endpoint]:
    is_ready = key == "addresses"
    for path, entry in reading.mappings(subset, at, key):
        before = len(noticed.problems)
        address = read_address(entry.get("ip"), (*path, "ip"), noticed, _known_address)
        node = noticed.text(entry, path, "nodeName")
        if address is not None and len(noticed.problems) == before:
            yield Endpoint(address, node, is_ready, is_ready)


def _ports(parent: Fields, at: FieldPath, reading: Reading, noticed: Reading) -> Iterator[EndpointPort]:
    """The ports; one without a number stands for every port, which no service asks for."""
    for path, entry in reading.mappings(parent, at, "ports"):
        number = entry.get("port")
        if number is None:
            continue
        before = len(noticed.problems)
        name = noticed.text(entry, path, "name")
        protocol = PROTOCOLS_WITH_PORTS.get(noticed.text(entry, path, "protocol") or Protocol.TCP.value)
        if protocol is None:
            noticed.wrong((*path, "protocol"), f"{shown(entry.get('protocol'))} is no protocol of a port")
        if not is_port(number):
            noticed.wrong((*path, "port"), f"must be a port from 1 to 65535, not {shown(number)}")
        elif protocol is not None and len(noticed.problems) == before:
            yield EndpointPort(protocol, number, name)
