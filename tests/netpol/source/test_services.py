"""Services: what a proxy is told of each, and every way in which a part of one can be wrong."""

from __future__ import annotations

import pytest
from builders import address

from netpol.model.networks import parse_network
from netpol.model.ports import Protocol
from netpol.model.services import SchedulerFlag, Service, ServicePort, TrafficPolicy
from netpol.source.fields import Malformed
from netpol.source.services import decode_service

CLUSTER, LOCAL = TrafficPolicy
HTTP = {"name": "http", "port": 80, "nodePort": 30080}
PREFIX = "kube-router.io/service."
OLD_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
OLD_PLACE = f"metadata.annotations[{OLD_RANGES}]"
RANGES = "spec.loadBalancerSourceRanges"


def fields(
    spec: object = None,
    status: object = None,
    annotations: object = None,
    labels: object = None,
    **metadata: object,
) -> dict[object, object]:
    own = {"namespace": "x", "name": "web", "uid": "u", "annotations": annotations, "labels": labels, **metadata}
    whole = {"clusterIP": "10.96.0.1", **spec} if isinstance(spec, dict) else spec
    return {"metadata": own, "spec": whole, "status": status}


def decoded(spec: object = None, status: object = None, **others: object) -> Service:
    """The service, of which all is understood."""
    service, notices = decode_service(fields({} if spec is None else spec, status, **others))
    assert notices == ()
    return service


def noticed(spec: object = None, status: object = None, **others: object) -> tuple[Service, list[str]]:
    service, notices = decode_service(fields({} if spec is None else spec, status, **others))
    assert {(each.kind, each.namespace, each.name) for each in notices} <= {("Service", "x", "web")}
    return service, [f"{each.field}: {each.message}" for each in notices]


def balancer(*ingress: object) -> dict[str, object]:
    return {"loadBalancer": {"ingress": list(ingress)}}


def test_a_service_in_full() -> None:
    spec = {
        "type": "LoadBalancer",
        "clusterIP": "10.96.0.1",
        "clusterIPs": ["10.96.0.1", "fd00:96::1"],
        "externalIPs": ["198.51.100.7"],
        "ports": [HTTP, {"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053, "targetPort": "dns"}],
        "internalTrafficPolicy": "Cluster",
        "externalTrafficPolicy": "Local",
        "healthCheckNodePort": 31000,
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
        "loadBalancerSourceRanges": ["192.0.2.0/24", " 2001:db8::/32"],
        "selector": {"app": "web"},
    }
    annotations = {
        f"{PREFIX}scheduler": "mh",
        f"{PREFIX}schedflags": "mh-port",
        f"{PREFIX}hairpin": "",
        f"{PREFIX}dsr": "tunnel",
    }
    assert decoded(
        spec, balancer({"ip": "203.0.113.1"}), annotations=annotations, creationTimestamp="2024-01-01T01:00:00+01:00"
    ) == Service(
        "x",
        "web",
        (address("10.96.0.1"), address("fd00:96::1")),
        (ServicePort(Protocol.TCP, 80, "http", 30080), ServicePort(Protocol.UDP, 53, "dns", 30053)),
        (address("198.51.100.7"),),
        (address("203.0.113.1"),),
        frozenset({parse_network("192.0.2.0/24"), parse_network("2001:db8::/32")}),
        CLUSTER,
        LOCAL,
        31000,
        60,
        "mh",
        frozenset({SchedulerFlag.SECOND}),
        hairpin=True,
        direct_return=True,
        uid="u",
        created="2024-01-01T00:00:00.000000Z",
    )


def test_a_service_may_be_little_more_than_its_address() -> None:
    assert decoded({"ports": [{"port": 80}]}) == Service(
        "x", "web", (address("10.96.0.1"),), (ServicePort(Protocol.TCP, 80),), uid="u"
    )


# --- which are left alone


@pytest.mark.parametrize(
    ("spec", "labels"),
    [
        ({"clusterIP": "None", "clusterIPs": ["None"]}, None),
        ({"clusterIP": "None"}, None),
        ({"clusterIP": ""}, None),
        ({"clusterIP": None, "clusterIPs": None}, None),
        ({"type": "ExternalName", "externalName": "example.org"}, None),
        ({}, {"service.kubernetes.io/service-proxy-name": "another"}),
    ],
)
def test_what_no_proxy_serves_has_nothing(spec: dict[str, object], labels: object) -> None:
    whole = {"ports": [HTTP], "externalIPs": ["198.51.100.7"], **spec}
    assert decoded(whole, balancer({"ip": "203.0.113.1"}), labels=labels) == Service("x", "web", uid="u")


# --- addresses


@pytest.mark.parametrize(
    ("kind", "external", "balanced", "node_port"),
    [
        (None, True, False, None),
        ("ClusterIP", True, False, None),
        ("NodePort", True, False, 30080),
        ("LoadBalancer", True, True, 30080),
    ],
)
def test_the_type_says_what_else_it_has(kind: object, external: bool, balanced: bool, node_port: int | None) -> None:
    spec = {
        "type": kind,
        "ports": [HTTP],
        "externalIPs": ["198.51.100.7"],
        "loadBalancerSourceRanges": ["192.0.2.0/24"],
    }
    found = decoded(spec, balancer({"ip": "203.0.113.1"}))
    assert found.external_addresses == ((address("198.51.100.7"),) if external else ())
    assert found.load_balancer_addresses == ((address("203.0.113.1"),) if balanced else ())
    assert found.ports == (ServicePort(Protocol.TCP, 80, "http", node_port),)
    assert (found.source_ranges is not None) is balanced


@pytest.mark.parametrize(
    "ingress",
    [
        {"hostname": "lb.example.org"},
        {"ip": "", "hostname": "lb.example.org"},
        {"ip": "203.0.113.9", "ipMode": "Proxy"},
    ],
)
def test_what_of_a_balancer_is_not_ours_is_passed_over(ingress: object) -> None:
    found = decoded({"type": "LoadBalancer"}, balancer(ingress, {"ip": "203.0.113.1", "ipMode": "VIP"}))
    assert found.load_balancer_addresses == (address("203.0.113.1"),)


def test_addresses_stated_twice_are_one() -> None:
    assert decoded({"externalIPs": ["198.51.100.7", "::ffff:198.51.100.7"]}).external_addresses == (
        address("198.51.100.7"),
    )


@pytest.mark.parametrize(
    ("spec", "status", "problem"),
    [
        ({"clusterIPs": ["10.96.0.1", "web"]}, None, "spec.clusterIPs[1]: 'web' is no IP address"),
        ({"externalIPs": ["::"]}, None, "spec.externalIPs[0]: '::' is the address of nothing"),
        ({"externalIPs": [None]}, None, "spec.externalIPs[0]: is missing"),
        ({"externalIPs": "198.51.100.7"}, None, "spec.externalIPs: must be a list, not '198.51.100.7'"),
        (
            {"type": "LoadBalancer"},
            balancer({"ip": "lb"}),
            "status.loadBalancer.ingress[0].ip: 'lb' is no IP address",
        ),
        (
            {"type": "LoadBalancer"},
            {"loadBalancer": "lb"},
            "status.loadBalancer: must be a mapping, not 'lb'",
        ),
    ],
)
def test_an_address_that_is_none_is_told_and_the_rest_counts(spec: object, status: object, problem: str) -> None:
    found, problems = noticed(spec, status)
    assert problems == [problem]
    assert found.cluster_addresses == (address("10.96.0.1"),)
    assert (found.external_addresses, found.load_balancer_addresses) == ((), ())


# --- source ranges


@pytest.mark.parametrize(
    ("spec", "annotations", "expected"),
    [
        ({}, {}, None),
        ({"loadBalancerSourceRanges": []}, {}, None),
        ({}, {OLD_RANGES: " "}, None),
        ({}, {OLD_RANGES: "192.0.2.0/24, 10.0.0.0/8"}, {"192.0.2.0/24", "10.0.0.0/8"}),
        ({"loadBalancerSourceRanges": ["192.0.2.7/24"]}, {OLD_RANGES: "10.0.0.0/8"}, {"192.0.2.0/24"}),
    ],
)
def test_who_may_use_the_balancers_addresses(
    spec: dict[str, object], annotations: object, expected: set[str] | None
) -> None:
    found = decoded({"type": "LoadBalancer", **spec}, annotations=annotations)
    assert found.source_ranges == (None if expected is None else frozenset(map(parse_network, expected)))


@pytest.mark.parametrize(
    ("ranges", "annotations", "expected", "problem"),
    [
        (["x", "10.0.0.0/8"], None, {"10.0.0.0/8"}, f"{RANGES}[0]: 'x' is no CIDR; it allows nobody"),
        ([None], None, set(), f"{RANGES}[0]: null is no CIDR; it allows nobody"),
        ("10.0.0.0/8", None, set(), f"{RANGES}: must be a list, not '10.0.0.0/8'"),
        (None, {OLD_RANGES: "10.0.0.1"}, set(), f"{OLD_PLACE}: '10.0.0.1' is no CIDR; it allows nobody"),
        (None, {OLD_RANGES: 5}, set(), f"{OLD_PLACE}: 5 is no CIDR; it allows nobody"),
    ],
)
def test_a_range_that_cannot_be_read_allows_nobody(
    ranges: object, annotations: object, expected: set[str], problem: str
) -> None:
    found, problems = noticed({"type": "LoadBalancer", "loadBalancerSourceRanges": ranges}, annotations=annotations)
    assert found.source_ranges == frozenset(map(parse_network, expected))
    assert problems == [problem]


# --- policies and affinity


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        (None, (CLUSTER, LOCAL)),
        ({f"{PREFIX}local": ""}, (LOCAL, LOCAL)),
        ({f"{PREFIX}local": "true"}, (LOCAL, LOCAL)),
        ({f"{PREFIX}local": "false"}, (CLUSTER, LOCAL)),
    ],
)
def test_an_annotation_makes_both_policies_local(
    annotations: object, expected: tuple[TrafficPolicy, TrafficPolicy]
) -> None:
    found = decoded({"externalTrafficPolicy": "Local"}, annotations=annotations)
    assert (found.internal_policy, found.external_policy) == expected


@pytest.mark.parametrize("value", ["local", 5, [], {}])
def test_a_policy_that_is_none_is_the_clusters(value: object) -> None:
    found, problems = noticed({"internalTrafficPolicy": value})
    assert found.internal_policy is CLUSTER
    (problem,) = problems
    assert problem.startswith("spec.internalTrafficPolicy: must be Cluster or Local, not ")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"type": "LoadBalancer", "externalTrafficPolicy": "Local"}, 31000),
        ({"type": "LoadBalancer"}, None),
        ({"type": "NodePort", "externalTrafficPolicy": "Local"}, None),
    ],
)
def test_only_a_balancer_asks_for_a_nodes_health(spec: dict[str, object], expected: int | None) -> None:
    assert decoded({"healthCheckNodePort": 31000, **spec}).health_check_node_port == expected
    assert decoded({"healthCheckNodePort": 0, **spec}).health_check_node_port is None


def test_a_health_check_port_that_is_none() -> None:
    spec = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 70000}
    found, problems = noticed(spec)
    assert found.health_check_node_port is None
    assert problems == ["spec.healthCheckNodePort: must be a port from 1 to 65535, not 70000"]


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        ({}, None),
        ({"sessionAffinity": "None", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}}}, None),
        ({"sessionAffinity": "ClientIP"}, 10800),
        ({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": None}}, 10800),
        ({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86400}}}, 86400),
    ],
)
def test_how_long_a_client_stays_where_it_was(spec: object, seconds: int | None) -> None:
    assert decoded(spec).affinity_seconds == seconds


@pytest.mark.parametrize(
    ("spec", "seconds", "problem"),
    [
        (
            {"sessionAffinity": "Cookie"},
            None,
            "spec.sessionAffinity: must be ClientIP or None, not 'Cookie'; there is none",
        ),
        (
            {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}}},
            10800,
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds: must be seconds from 1 to 86400, not 0; it is 10800",
        ),
        (
            {"sessionAffinity": "ClientIP", "sessionAffinityConfig": 5},
            10800,
            "spec.sessionAffinityConfig: must be a mapping, not 5",
        ),
    ],
)
def test_an_affinity_that_is_not_understood(spec: object, seconds: int | None, problem: str) -> None:
    found, problems = noticed(spec)
    assert (found.affinity_seconds, problems) == (seconds, [problem])


def test_an_annotation_takes_the_balancers_addresses_away() -> None:
    annotations = {f"{PREFIX}skiplbips": ""}
    found = decoded({"type": "LoadBalancer"}, balancer({"ip": "203.0.113.1"}), annotations=annotations)
    assert found.load_balancer_addresses == ()


def test_a_type_that_is_none_has_the_least() -> None:
    found, problems = noticed({"type": "Loadbalancer", "ports": [HTTP]}, balancer({"ip": "203.0.113.1"}))
    assert problems == ["spec.type: 'Loadbalancer' is no type; it is taken for ClusterIP"]
    assert found.ports == (ServicePort(Protocol.TCP, 80, "http"),)
    assert found.load_balancer_addresses == ()


# --- malformed


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ({"spec": {}}, "metadata.name: is missing"),
        (fields({}, name="Web!"), "metadata.name: 'Web!' is no name of an object"),
        (fields({}, namespace="a.b"), "metadata.namespace: 'a.b' is no name of a namespace"),
        (fields({}, labels="a"), "metadata.labels: must be a mapping, not 'a'"),
        (fields({}, annotations=["a"]), "metadata.annotations: must be a mapping, not a list"),
        (
            fields({}, creationTimestamp="today"),
            "metadata.creationTimestamp: 'today' is no time as RFC 3339 writes it",
        ),
        (fields("none"), "spec: must be a mapping, not 'none'"),
        (fields({}, 5), "status: must be a mapping, not 5"),
        (fields({"ports": {}}), "spec.ports: must be a list, not a mapping"),
        (fields({"ports": [80]}), "spec.ports[0]: must be a mapping, not 80"),
        (fields({"ports": [{}]}), "spec.ports[0].port: must be a port from 1 to 65535, not null"),
        (fields({"ports": [{"port": 0}]}), "spec.ports[0].port: must be a port from 1 to 65535, not 0"),
        (fields({"ports": [{"port": 80, "name": 5}]}), "spec.ports[0].name: must be a string, not 5"),
        (
            fields({"ports": [{"port": 80, "protocol": "ICMP"}]}),
            "spec.ports[0].protocol: 'ICMP' is no protocol of a port",
        ),
        (
            fields({"ports": [{"port": 80, "nodePort": "x"}]}),
            "spec.ports[0].nodePort: must be a port from 1 to 65535, not 'x'",
        ),
    ],
)
def test_what_makes_a_service_malformed(broken: dict[object, object], problem: str) -> None:
    with pytest.raises(Malformed) as raised:
        decode_service(broken)
    assert [str(each) for each in raised.value.problems] == [problem]
