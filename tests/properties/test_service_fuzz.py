"""Whatever services and endpoints say, reading them ends in a value that the kernel can take, or in Malformed."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from netpol.source.endpoints import decode_endpoint_slice, decode_endpoints
from netpol.source.fields import Malformed
from netpol.source.services import decode_service

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["ip", "name", "ports"]), inner),
    max_leaves=6,
)


def near(right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly what a field can hold, and else anything."""
    return right | right | right | VALUES


def fields_of(**right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return near(st.fixed_dictionaries({}, optional={key: near(value) for key, value in right.items()}))


def lists_of(right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return near(st.lists(near(right), max_size=3))


ADDRESS_TEXTS = st.sampled_from(["10.0.0.1", "fd00::1", "::", "010.0.0.9", "None", "", "a", "10.0.0.0/8"])
PORT_NUMBERS = st.sampled_from([0, 1, 80, 65535, 65536, True, None, "http"])
ANNOTATION_TEXTS = st.dictionaries(
    st.sampled_from(
        [
            *(f"kube-router.io/service.{key}" for key in ("scheduler", "schedflags", "local", "hairpin", "dsr")),
            "kube-router.io/service.skiplbips",
            "service.beta.kubernetes.io/load-balancer-source-ranges",
        ]
    ),
    near(st.sampled_from(["", "false", "tunnel", "flag-1,sh-port", "10.0.0.0/8,a", "lc"])),
    max_size=4,
)
SERVICE_SPECS = fields_of(
    type=st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]),
    clusterIP=ADDRESS_TEXTS,
    clusterIPs=lists_of(ADDRESS_TEXTS),
    externalIPs=lists_of(ADDRESS_TEXTS),
    ports=lists_of(fields_of(port=PORT_NUMBERS, nodePort=PORT_NUMBERS, protocol=st.sampled_from(["TCP", "ICMP"]))),
    internalTrafficPolicy=st.sampled_from(["Cluster", "Local"]),
    externalTrafficPolicy=st.sampled_from(["Cluster", "Local"]),
    healthCheckNodePort=PORT_NUMBERS,
    sessionAffinity=st.sampled_from(["ClientIP", "None"]),
    sessionAffinityConfig=fields_of(clientIP=fields_of(timeoutSeconds=st.integers(-1, 90_000))),
    loadBalancerSourceRanges=lists_of(ADDRESS_TEXTS),
)
SERVICE_STATUSES = fields_of(
    loadBalancer=fields_of(ingress=lists_of(fields_of(ip=ADDRESS_TEXTS, ipMode=st.just("VIP"))))
)
ENDPOINT_LISTS = lists_of(
    fields_of(
        addresses=lists_of(ADDRESS_TEXTS),
        conditions=fields_of(ready=st.booleans(), serving=st.booleans(), terminating=st.booleans()),
        nodeName=st.just("n1"),
        topology=fields_of(zone=st.just("a")),
        hints=fields_of(
            forZones=lists_of(fields_of(name=st.just("a"))), forNodes=lists_of(fields_of(name=st.just("n")))
        ),
    )
)
ENDPOINT_PORTS = lists_of(fields_of(port=PORT_NUMBERS, name=st.just("http"), protocol=st.sampled_from(["TCP", "UDP"])))
SUBSETS = lists_of(
    fields_of(
        addresses=lists_of(fields_of(ip=ADDRESS_TEXTS, nodeName=st.just("n1"))),
        notReadyAddresses=lists_of(fields_of(ip=ADDRESS_TEXTS)),
        ports=ENDPOINT_PORTS,
    )
)


@given(SERVICE_SPECS, SERVICE_STATUSES, near(ANNOTATION_TEXTS))
def test_any_service_decodes_or_is_malformed(spec: Any, status: Any, annotations: Any) -> None:
    metadata = {"namespace": "x", "name": "web", "annotations": annotations}
    with suppress(Malformed):
        service, notices = decode_service({"metadata": metadata, "spec": spec, "status": status})
        stated = (*service.cluster_addresses, *service.external_addresses, *service.load_balancer_addresses)
        assert not any(address.is_unspecified for address in stated)
        assert all(str(notice).isprintable() for notice in notices)


@given(ENDPOINT_LISTS, ENDPOINT_PORTS, SUBSETS, st.sampled_from(["IPv4", "IPv6", "FQDN", None, 5]))
def test_any_endpoints_decode_or_are_malformed(endpoints: Any, ports: Any, subsets: Any, address_type: Any) -> None:
    labels = {"kubernetes.io/service-name": "web"}
    whole = {"endpoints": endpoints, "ports": ports, "subsets": subsets, "addressType": address_type}
    for decode in (decode_endpoint_slice, decode_endpoints):
        with suppress(Malformed):
            found, notices = decode({"metadata": {"namespace": "x", "name": "web", "labels": labels}, **whole})
            assert all(not each.address.is_unspecified for group in found.groups for each in group.endpoints)
            assert all(1 <= port.number <= 65535 for group in found.groups for port in group.ports)
            assert all(str(notice).isprintable() for notice in notices)
