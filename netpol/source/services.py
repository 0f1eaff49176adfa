"""Services from the API's objects, with what their annotations ask for.

Only metadata and ports that are not what the API says make one Malformed. What else cannot be understood is
noticed, and the rest of the service counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netpol.model.networks import Address, Network, parse_network
from netpol.model.notices import Notice
from netpol.model.ports import PROTOCOLS_WITH_PORTS, Protocol
from netpol.model.service_annotations import ServiceAnnotation
from netpol.model.services import Service, ServicePort, TrafficPolicy
from netpol.source.addresses import read_address
from netpol.source.fields import FieldPath, Fields, Reading, is_integer, render, shown
from netpol.source.objects import read_created, read_identity
from netpol.source.ports import is_port
from netpol.source.service_annotations import (
    ANNOTATIONS,
    is_on,
    read_direct_return,
    read_flags,
    read_scheduler,
)

AFFINITY_SECONDS = 10_800
"""The API's default."""
LONGEST_AFFINITY_SECONDS = 86_400

OTHER_PROXY_LABEL = "service.kubernetes.io/service-proxy-name"
_RANGES_ANNOTATION = "service.beta.kubernetes.io/load-balancer-source-ranges"

_METADATA: FieldPath = ("metadata",)
_SPEC: FieldPath = ("spec",)
_BALANCER: FieldPath = ("status", "loadBalancer")
_RANGES = "loadBalancerSourceRanges"

_EXTERNAL_NAME = "ExternalName"
_LOAD_BALANCER = "LoadBalancer"
_WITH_NODE_PORTS = ("NodePort", _LOAD_BALANCER)
_TYPES = (None, "", "ClusterIP", _EXTERNAL_NAME, *_WITH_NODE_PORTS)
_NO_ADDRESS = "None"


def decode_service(fields: Fields) -> tuple[Service, tuple[Notice, ...]]:
    """The service, and what of it was not understood; one that is left alone has nothing but its name."""
    reading, noticed = Reading(), Reading()
    metadata = reading.mapping(fields, (), "metadata")
    identity = read_identity(metadata, reading)
    created = read_created(metadata, reading)
    labels = reading.mapping(metadata, _METADATA, "labels")
    annotations = reading.mapping(metadata, _METADATA, "annotations")
    spec = reading.mapping(fields, (), "spec")
    status = reading.mapping(fields, (), "status")
    stated = _stated_addresses(spec, noticed)
    if not stated or OTHER_PROXY_LABEL in labels or spec.get("type") == _EXTERNAL_NAME:
        service = Service(identity.namespace, identity.name, uid=identity.uid, created=created)
    else:
        if spec.get("type") not in _TYPES:
            noticed.wrong((*_SPEC, "type"), f"{shown(spec.get('type'))} is no type; it is taken for ClusterIP")
        external_policy = _policy(spec, "externalTrafficPolicy", noticed)
        internal_policy = _policy(spec, "internalTrafficPolicy", noticed)
        is_local = is_on(annotations, ServiceAnnotation.LOCAL, noticed)
        service = Service(
            identity.namespace,
            identity.name,
            cluster_addresses=_addresses(stated, noticed),
            ports=tuple(_ports(spec, reading)),
            external_addresses=_addresses(_entries(spec, "externalIPs", noticed), noticed),
            load_balancer_addresses=_load_balancer_addresses(spec, status, annotations, noticed),
            source_ranges=_source_ranges(spec, annotations, noticed),
            internal_policy=TrafficPolicy.LOCAL if is_local else internal_policy,
            external_policy=TrafficPolicy.LOCAL if is_local else external_policy,
            health_check_node_port=_health_check_node_port(spec, external_policy, noticed),
            affinity_seconds=_affinity_seconds(spec, noticed),
            scheduler=read_scheduler(annotations, noticed),
            scheduler_flags=read_flags(annotations, noticed),
            hairpin=is_on(annotations, ServiceAnnotation.HAIRPIN, noticed),
            direct_return=read_direct_return(annotations, noticed),
            uid=identity.uid,
            created=created,
        )
    reading.unless_malformed()
    notices = (
        Notice("Service", service.namespace, service.name, render(each.path), each.message) for each in noticed.problems
    )
    return service, tuple(notices)


Stated = Sequence[tuple[FieldPath, object]]
"""Values, and where they stand."""


def _stated_addresses(spec: Fields, noticed: Reading) -> Stated:
    """What it has for cluster addresses; nothing where it is headless, or where none was given to it yet."""
    stated: Stated = _entries(spec, "clusterIPs", noticed)
    if not stated:
        stated = [((*_SPEC, "clusterIP"), spec.get("clusterIP"))]
    stated = [(path, value) for path, value in stated if value not in (None, "")]
    return () if any(value == _NO_ADDRESS for _, value in stated) else stated


def _entries(spec: Fields, key: str, noticed: Reading) -> Stated:
    return [((*_SPEC, key, index), value) for index, value in enumerate(noticed.sequence(spec, _SPEC, key))]


def _addresses(stated: Stated, noticed: Reading) -> tuple[Address, ...]:
    found = (read_address(value, path, noticed) for path, value in stated)
    return tuple(dict.fromkeys(filter(None, found)))


def _ports(spec: Fields, reading: Reading) -> Iterator[ServicePort]:
    """The ports; node ports only where the type has any."""
    has_node_ports = spec.get("type") in _WITH_NODE_PORTS
    for path, port in reading.mappings(spec, _SPEC, "ports"):
        number, node_port = port.get("port"), port.get("nodePort") or None
        protocol = PROTOCOLS_WITH_PORTS.get(reading.text(port, path, "protocol") or Protocol.TCP.value)
        name = reading.text(port, path, "name")
        if protocol is None:
            reading.wrong((*path, "protocol"), f"{shown(port.get('protocol'))} is no protocol of a port")
        if not is_port(number):
            reading.wrong((*path, "port"), f"must be a port from 1 to 65535, not {shown(number)}")
        elif node_port is not None and not is_port(node_port):
            reading.wrong((*path, "nodePort"), f"must be a port from 1 to 65535, not {shown(node_port)}")
        elif protocol is not None:
            yield ServicePort(protocol, number, name, node_port if has_node_ports else None)


def _load_balancer_addresses(
    spec: Fields, status: Fields, annotations: Fields, noticed: Reading
) -> tuple[Address, ...]:
    if spec.get("type") != _LOAD_BALANCER:
        return ()
    balancer = noticed.mapping(status, ("status",), "loadBalancer")
    ingress = [
        ((*path, "ip"), entry.get("ip"))
        for path, entry in noticed.mappings(balancer, _BALANCER, "ingress")
        # A balancer that is a proxy sends to nodes' own addresses, and may be known by a host's name only.
        if entry.get("ipMode") != "Proxy" and entry.get("ip") not in (None, "")
    ]
    is_skipped = is_on(annotations, ServiceAnnotation.SKIP_LOAD_BALANCER, noticed)
    return () if is_skipped else _addresses(ingress, noticed)


def _source_ranges(spec: Fields, annotations: Fields, noticed: Reading) -> frozenset[Network] | None:
    """Who may use the load balancer's addresses, None being everybody; what cannot be read allows nobody."""
    if spec.get("type") != _LOAD_BALANCER:
        return None
    stated: Stated = _entries(spec, _RANGES, noticed)
    if not stated and spec.get(_RANGES) in (None, []):
        path = (*ANNOTATIONS, _RANGES_ANNOTATION)
        text = annotations.get(_RANGES_ANNOTATION)
        if text is None or (isinstance(text, str) and not text.strip()):
            return None
        stated = [(path, each) for each in text.split(",")] if isinstance(text, str) else [(path, text)]
    found = set()
    for path, value in stated:
        try:
            found.add(parse_network(value.strip() if isinstance(value, str) else ""))
        except ValueError:
            noticed.wrong(path, f"{shown(value)} is no CIDR; it allows nobody")
    return frozenset(found)


def _health_check_node_port(spec: Fields, external_policy: TrafficPolicy, noticed: Reading) -> int | None:
    """The port, where the API has load balancers ask there; what an annotation says of traffic changes nothing."""
    stated = spec.get("healthCheckNodePort") or None
    if stated is not None and not is_port(stated):
        noticed.wrong((*_SPEC, "healthCheckNodePort"), f"must be a port from 1 to 65535, not {shown(stated)}")
        return None
    has_check = spec.get("type") == _LOAD_BALANCER and external_policy is TrafficPolicy.LOCAL
    return stated if has_check else None


def _policy(spec: Fields, key: str, noticed: Reading) -> TrafficPolicy:
    value = spec.get(key)
    if value is None or value == "":
        return TrafficPolicy.CLUSTER
    try:
        return TrafficPolicy(value)
    except ValueError:
        noticed.wrong((*_SPEC, key), f"must be Cluster or Local, not {shown(value)}; it is taken for Cluster")
        return TrafficPolicy.CLUSTER


def _affinity_seconds(spec: Fields, noticed: Reading) -> int | None:
    """How long a client stays where it was; None where it need not."""
    affinity = spec.get("sessionAffinity")
    if affinity != "ClientIP":
        if affinity not in (None, "", "None"):
            noticed.wrong(
                (*_SPEC, "sessionAffinity"), f"must be ClientIP or None, not {shown(affinity)}; there is none"
            )
        return None
    at = (*_SPEC, "sessionAffinityConfig")
    client = noticed.mapping(noticed.mapping(spec, _SPEC, "sessionAffinityConfig"), at, "clientIP")
    seconds = client.get("timeoutSeconds")
    if is_integer(seconds) and 0 < seconds <= LONGEST_AFFINITY_SECONDS:
        return seconds
    if seconds is not None:
        expected = f"must be seconds from 1 to {LONGEST_AFFINITY_SECONDS}, not {shown(seconds)}"
        noticed.wrong((*at, "clientIP", "timeoutSeconds"), f"{expected}; it is {AFFINITY_SECONDS}")
    return AFFINITY_SECONDS
