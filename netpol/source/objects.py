"""Pods, nodes and namespaces from the API's objects.

Each decoder takes an object as the API server or kubectl writes it and raises Malformed
where a field it uses is not what the API says. Fields it does not use may hold anything.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass

from netpol.model.networks import Address, parse_network
from netpol.model.notices import Notice
from netpol.model.objects import ISOLATION_ANNOTATION, ContainerPort, Namespace, Node, Pod
from netpol.model.ports import PROTOCOLS_WITH_PORTS, Protocol
from netpol.source.addresses import read_address
from netpol.source.annotation import UnreadableAnnotation, isolates
from netpol.source.fields import FieldPath, Fields, Reading, render, shown
from netpol.source.owners import workload_of
from netpol.source.ports import is_port
from netpol.source.selectors import is_subdomain
from netpol.source.timestamps import canonical_time
from netpol.source.treatment_annotations import ANNOTATIONS, read_audit, read_deny_action, read_enforcement

DEFAULT_NAMESPACE = "default"
NAME_LABEL = "kubernetes.io/metadata.name"

_METADATA: FieldPath = ("metadata",)
_SPEC: FieldPath = ("spec",)
_STATUS: FieldPath = ("status",)
_DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_FINISHED = ("Succeeded", "Failed")
_NODE_ADDRESSES = ("InternalIP", "ExternalIP")
_ZONE_LABELS = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")


@dataclass(frozen=True, slots=True)
class Identity:
    """What an object is called; `namespace` is `default` where it names none, as kubectl has it."""

    namespace: str
    name: str
    uid: str


def read_identity(metadata: Fields, reading: Reading) -> Identity:
    """The identity of the object that has this metadata, every problem with it noted."""
    name = _name(metadata, reading)
    namespace = reading.text(metadata, _METADATA, "namespace") or DEFAULT_NAMESPACE
    if not _DNS_LABEL.fullmatch(namespace):
        reading.wrong((*_METADATA, "namespace"), f"{shown(namespace)} is no name of a namespace")
    return Identity(namespace, name, reading.text(metadata, _METADATA, "uid"))


def read_created(metadata: Fields, reading: Reading) -> str:
    """When the object that has this metadata was made, in the form that compares as text; "" where it is not told."""
    value = metadata.get("creationTimestamp")
    if value is None:
        return ""
    try:
        return canonical_time(value if isinstance(value, str) else "")
    except ValueError:
        reading.wrong((*_METADATA, "creationTimestamp"), f"{shown(value)} is no time as RFC 3339 writes it")
        return ""


def decode_pod(fields: Fields) -> Pod:
    """The pod, with the addresses and named ports that policies see (G3, G4, V7)."""
    reading = Reading()
    metadata = reading.mapping(fields, (), "metadata")
    identity = read_identity(metadata, reading)
    spec = reading.mapping(fields, (), "spec")
    status = reading.mapping(fields, (), "status")
    labels = reading.texts(metadata, _METADATA, "labels")
    pod = Pod(
        identity.namespace,
        identity.name,
        labels,
        _pod_addresses(status, reading),
        node=reading.text(spec, _SPEC, "nodeName"),
        host_network=reading.flag(spec, _SPEC, "hostNetwork"),
        finished=reading.text(status, _STATUS, "phase") in _FINISHED,
        ports=tuple(_named_ports(spec, reading)),
        uid=identity.uid,
        created=read_created(metadata, reading),
        workload=workload_of(metadata, labels),
    )
    reading.unless_malformed()
    return pod


def decode_namespace(fields: Fields, *, strict_annotations: bool) -> tuple[Namespace, tuple[Notice, ...]]:
    """The namespace, and a notice for each annotation that is not understood (M7).

    `strict_annotations` isolates it where the one that isolates is unreadable (B2).
    """
    reading = Reading()
    metadata = reading.mapping(fields, (), "metadata")
    name = _name(metadata, reading)
    if name and not _DNS_LABEL.fullmatch(name):
        reading.wrong((*_METADATA, "name"), f"{shown(name)} is no name of a namespace")
    labels = reading.texts(metadata, _METADATA, "labels")
    annotations = reading.mapping(metadata, _METADATA, "annotations")
    text = reading.text(annotations, ANNOTATIONS, ISOLATION_ANNOTATION)
    reading.unless_malformed()
    noticed = Reading()
    namespace = Namespace(
        name,
        labels,
        # B1: a null is no annotation; an empty text is one, which cannot be parsed.
        annotations.get(ISOLATION_ANNOTATION) is not None and _isolates(text, noticed, otherwise=strict_annotations),
        read_enforcement(annotations, noticed),
        read_audit(annotations, noticed),
        read_deny_action(annotations, noticed),
    )
    notices = (Notice("Namespace", "", name, render(each.path), each.message) for each in noticed.problems)
    return namespace, tuple(notices)


def _isolates(text: str, noticed: Reading, *, otherwise: bool) -> bool:
    """What the annotation that isolates says; `otherwise` where it cannot be read (B2)."""
    try:
        return isolates(text)
    except UnreadableAnnotation as error:
        outcome = "the namespace is isolated" if otherwise else "the namespace is not isolated"
        noticed.wrong((*ANNOTATIONS, ISOLATION_ANNOTATION), f"{error}; {outcome}")
        return otherwise


def with_name_label(namespace: Namespace) -> Namespace:
    """The namespace with the label that every API server of 1.22 or later puts on it (G7, M6)."""
    if NAME_LABEL in namespace.labels:
        return namespace
    return dataclasses.replace(namespace, labels={**namespace.labels, NAME_LABEL: namespace.name})


def decode_node(fields: Fields) -> Node:
    """The node, with its zone, its own addresses, internal ones first, and the ranges of its pods' addresses."""
    reading = Reading()
    metadata = reading.mapping(fields, (), "metadata")
    name = _name(metadata, reading)
    spec = reading.mapping(fields, (), "spec")
    status = reading.mapping(fields, (), "status")
    stated = list(reading.mappings(status, _STATUS, "addresses"))
    addresses = [
        read_address(entry.get("address"), (*path, "address"), reading)
        for wanted in _NODE_ADDRESSES
        for path, entry in stated
        if entry.get("type") == wanted
    ]
    ranges = [((*_SPEC, "podCIDRs", n), text) for n, text in enumerate(reading.sequence(spec, _SPEC, "podCIDRs"))]
    if not ranges and (single := reading.text(spec, _SPEC, "podCIDR")):
        ranges = [((*_SPEC, "podCIDR"), single)]
    networks = []
    for path, text in ranges:
        try:
            networks.append(parse_network(text if isinstance(text, str) else ""))
        except ValueError:
            reading.wrong(path, f"{shown(text)} is no CIDR")
    reading.unless_malformed()
    return Node(name, tuple(dict.fromkeys(filter(None, addresses))), tuple(networks), _zone(metadata))


def _zone(metadata: Fields) -> str:
    """The zone that a label names; a label that is none names none."""
    labels = metadata.get("labels")
    stated = (labels.get(label) for label in _ZONE_LABELS) if isinstance(labels, dict) else ()
    return next((zone for zone in stated if isinstance(zone, str) and zone), "")


def _name(metadata: Fields, reading: Reading) -> str:
    before = len(reading.problems)
    name = reading.text(metadata, _METADATA, "name")
    if len(reading.problems) == before and not is_subdomain(name):
        reading.wrong((*_METADATA, "name"), f"{shown(name)} is no name of an object" if name else "is missing")
    return name


def _pod_addresses(status: Fields, reading: Reading) -> tuple[Address, ...]:
    """The addresses of both families; `podIP` only speaks where `podIPs` does not (G4)."""
    found = [
        read_address(entry.get("ip"), (*path, "ip"), reading)
        for path, entry in reading.mappings(status, _STATUS, "podIPs")
    ]
    if not found and (single := status.get("podIP")):
        found = [read_address(single, (*_STATUS, "podIP"), reading)]
    return tuple(dict.fromkeys(address for address in found if address is not None))


def _named_ports(spec: Fields, reading: Reading) -> Iterator[ContainerPort]:
    """The ports that have a name, of containers and of init containers that keep running (V7)."""
    for path, container in reading.mappings(spec, _SPEC, "containers"):
        yield from _container_ports(container, path, reading)
    for path, container in reading.mappings(spec, _SPEC, "initContainers"):
        if container.get("restartPolicy") == "Always":
            yield from _container_ports(container, path, reading)


def _container_ports(container: Fields, at: FieldPath, reading: Reading) -> Iterator[ContainerPort]:
    for path, port in reading.mappings(container, at, "ports"):
        number = port.get("containerPort")
        if not is_port(number):
            reading.wrong((*path, "containerPort"), f"must be a port from 1 to 65535, not {shown(number)}")
            continue
        name = reading.text(port, path, "name")
        protocol = PROTOCOLS_WITH_PORTS.get(reading.text(port, path, "protocol") or Protocol.TCP.value)
        if protocol is None:
            reading.wrong((*path, "protocol"), f"{shown(port.get('protocol'))} is no protocol of a port")
        elif name:
            yield ContainerPort(name, protocol, number)
