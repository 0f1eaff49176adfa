"""Pods, nodes and namespaces: the fields policy needs, and each way they can be wrong."""

from __future__ import annotations

from typing import Any

import pytest
from builders import namespace, node, pod

from netpol.model.objects import ISOLATION_ANNOTATION, Namespace
from netpol.model.treatment import AuditLevel, DenyAction, Enforcement
from netpol.source.fields import Malformed
from netpol.source.objects import decode_namespace, decode_node, decode_pod, with_name_label


def pod_fields(spec: object = None, status: object = None, **metadata: object) -> dict[object, object]:
    return {"metadata": {"namespace": "x", "name": "a", "uid": "uid-of-x-a"} | metadata, "spec": spec, "status": status}


def problems(decode: Any, fields: object, **options: bool) -> list[str]:
    with pytest.raises(Malformed) as raised:
        decode(fields, **options)
    return list(map(str, raised.value.problems))


# --- pods


def test_a_pod_in_full() -> None:
    fields = pod_fields(
        {
            "nodeName": "n1",
            "hostNetwork": True,
            "containers": [
                {"name": "a", "ports": [{"name": "http", "containerPort": 80}, {"containerPort": 81}]},
                {"name": "b", "ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}]},
                {"name": "c"},
            ],
            "initContainers": [
                {"restartPolicy": "Always", "ports": [{"name": "proxy", "containerPort": 15001}]},
                {"ports": [{"name": "init", "containerPort": 1}]},
            ],
        },
        {"phase": "Succeeded", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]},
        labels={"app": "web"},
        creationTimestamp="2026-01-01T00:00:00Z",
        managedFields=[{"anything": 1}],
    )
    assert decode_pod(fields) == pod(
        "x/a",
        "10.0.0.1",
        "fd00::1",
        labels="app=web",
        ports="http=80/TCP dns=53/UDP proxy=15001/TCP",
        node="n1",
        host_network=True,
        finished=True,
        created="2026-01-01T00:00:00.000000Z",
    )


def test_a_pod_may_be_little_more_than_its_name() -> None:
    assert decode_pod(pod_fields()) == pod("x/a")
    assert decode_pod({"metadata": {"name": "a"}}).namespace == "default"
    assert decode_pod(pod_fields(namespace=None)).namespace == "default"
    assert decode_pod(pod_fields({"containers": None}, {}, labels=None, creationTimestamp=None)) == pod("x/a")


@pytest.mark.parametrize(
    "status",
    [
        {"podIP": "10.0.0.1"},
        {"podIP": "10.0.0.1", "podIPs": []},
        {"podIP": "10.0.0.1", "podIPs": None},
        {"podIP": "10.0.0.9", "podIPs": [{"ip": "10.0.0.1"}]},
        {"podIPs": [{"ip": "10.0.0.1"}, {"ip": "010.0.0.1"}]},
        {"podIPs": [{"ip": "::ffff:10.0.0.1"}, {"ip": "10.0.0.1"}]},
    ],
)
def test_the_one_address_speaks_where_the_list_does_not(status: object) -> None:
    assert decode_pod(pod_fields(status=status)) == pod("x/a", "10.0.0.1")


@pytest.mark.parametrize("status", [None, {}, {"podIP": ""}, {"podIP": None, "podIPs": []}])
def test_a_pod_can_have_no_address_yet(status: object) -> None:
    assert decode_pod(pod_fields(status=status)).addresses == ()


def test_x1_the_creation_time_is_brought_into_one_form() -> None:
    fields = pod_fields(creationTimestamp="2024-01-01T01:00:00.5+01:00")
    assert decode_pod(fields).created == "2024-01-01T00:00:00.500000Z"


@pytest.mark.parametrize(
    ("phase", "finished"),
    [("Pending", False), ("Running", False), ("Succeeded", True), ("Failed", True), ("Unknown", False), (None, False)],
)
def test_finished_phases(phase: object, finished: bool) -> None:
    assert decode_pod(pod_fields(status={"phase": phase})).finished is finished


def container(**port: object) -> dict[str, object]:
    return {"containers": [{"ports": [port]}]}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "metadata.name: is missing"),
        (pod_fields(name=""), "metadata.name: is missing"),
        (pod_fields(name=5), "metadata.name: must be a string, not 5"),
        (pod_fields(name="A_b"), "metadata.name: 'A_b' is no name of an object"),
        (pod_fields(name="a\n"), "metadata.name: 'a\\n' is no name of an object"),
        (pod_fields(namespace=5), "metadata.namespace: must be a string, not 5"),
        (pod_fields(namespace="a.b"), "metadata.namespace: 'a.b' is no name of a namespace"),
        (pod_fields(uid=5), "metadata.uid: must be a string, not 5"),
        (pod_fields(labels=["a"]), "metadata.labels: must be a mapping, not a list"),
        (pod_fields(labels={"a": True}), "metadata.labels.a: must be a string, not true"),
        (pod_fields(creationTimestamp=5), "metadata.creationTimestamp: 5 is no time as RFC 3339 writes it"),
        (pod_fields(creationTimestamp=""), "metadata.creationTimestamp: '' is no time as RFC 3339 writes it"),
        (
            pod_fields(creationTimestamp="yesterday"),
            "metadata.creationTimestamp: 'yesterday' is no time as RFC 3339 writes it",
        ),
        (pod_fields([]), "spec: must be a mapping, not a list"),
        (pod_fields({"nodeName": 5}), "spec.nodeName: must be a string, not 5"),
        (pod_fields({"hostNetwork": "yes"}), "spec.hostNetwork: must be true or false, not 'yes'"),
        (pod_fields({"containers": {}}), "spec.containers: must be a list, not a mapping"),
        (pod_fields({"containers": ["a"]}), "spec.containers[0]: must be a mapping, not 'a'"),
        (pod_fields({"initContainers": [None]}), "spec.initContainers[0]: must be a mapping, not null"),
        (pod_fields({"containers": [{"ports": 80}]}), "spec.containers[0].ports: must be a list, not 80"),
        (
            pod_fields(container(name="http")),
            "spec.containers[0].ports[0].containerPort: must be a port from 1 to 65535, not null",
        ),
        (
            pod_fields(container(containerPort=65536)),
            "spec.containers[0].ports[0].containerPort: must be a port from 1 to 65535, not 65536",
        ),
        (
            pod_fields(container(containerPort="80")),
            "spec.containers[0].ports[0].containerPort: must be a port from 1 to 65535, not '80'",
        ),
        (
            pod_fields(container(containerPort=80, protocol="tcp")),
            "spec.containers[0].ports[0].protocol: 'tcp' is no protocol of a port",
        ),
        (
            pod_fields(container(containerPort=80, name=1)),
            "spec.containers[0].ports[0].name: must be a string, not 1",
        ),
        (pod_fields(status="up"), "status: must be a mapping, not 'up'"),
        (pod_fields(status={"phase": 1}), "status.phase: must be a string, not 1"),
        (pod_fields(status={"podIP": "10.0.0.256"}), "status.podIP: '10.0.0.256' is no IP address"),
        (pod_fields(status={"podIP": 10}), "status.podIP: 10 is no IP address"),
        (pod_fields(status={"podIP": "::"}), "status.podIP: '::' is the address of nothing"),
        (
            pod_fields(status={"podIPs": [{"ip": "::ffff:0.0.0.0"}]}),
            "status.podIPs[0].ip: '::ffff:0.0.0.0' is the address of nothing",
        ),
        (pod_fields(status={"podIP": "fe80::1%eth0"}), "status.podIP: 'fe80::1%eth0' is no IP address"),
        (pod_fields(status={"podIPs": "10.0.0.1"}), "status.podIPs: must be a list, not '10.0.0.1'"),
        (pod_fields(status={"podIPs": [{}]}), "status.podIPs[0].ip: is missing"),
        (pod_fields(status={"podIPs": [{"ip": "x"}]}), "status.podIPs[0].ip: 'x' is no IP address"),
    ],
)
def test_what_makes_a_pod_malformed(fields: object, problem: str) -> None:
    assert problems(decode_pod, fields) == [problem]


def test_all_problems_of_a_pod_are_named() -> None:
    assert problems(decode_pod, {"metadata": []}) == [
        "metadata: must be a mapping, not a list",
        "metadata.name: is missing",
    ]
    fields = pod_fields({"hostNetwork": 1} | container(containerPort=0), {"podIP": "x"}, labels={"a": 1, "b": 2})
    assert len(problems(decode_pod, fields)) == 5


def test_a_pods_workload_is_its_controller() -> None:
    owners = [{"kind": "ReplicaSet", "name": "web-5d4f", "controller": True}]
    fields = pod_fields(labels={"pod-template-hash": "5d4f"}, ownerReferences=owners)
    assert decode_pod(fields) == pod("x/a", labels="pod-template-hash=5d4f", workload="Deployment/web")


@pytest.mark.parametrize("owners", ["web", [None], [{"kind": 5, "name": [], "controller": True}], {}])
def test_bad_owners_never_make_a_pod_malformed(owners: object) -> None:
    assert decode_pod(pod_fields(ownerReferences=owners)) == pod("x/a")


# --- namespaces


def test_a_namespace_and_its_labels() -> None:
    fields: dict[object, object] = {"metadata": {"name": "x", "labels": {"a": "b"}, "annotations": {"c": "d"}}}
    assert decode_namespace(fields, strict_annotations=True) == (Namespace("x", {"a": "b"}), ())


@pytest.mark.parametrize("strict", [True, False])
def test_the_annotation_isolates(strict: bool) -> None:
    text = '{"ingress": {"isolation": "DefaultDeny"}}'
    fields: dict[object, object] = {"metadata": {"name": "x", "annotations": {ISOLATION_ANNOTATION: text}}}
    assert decode_namespace(fields, strict_annotations=strict) == (Namespace("x", default_deny=True), ())


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("annotations", [None, {}, {ISOLATION_ANNOTATION: None}, {"a": None}, {"a": 5, 5: []}])
def test_b1_no_annotation_and_a_null_one_and_those_of_others_isolate_nothing(annotations: object, strict: bool) -> None:
    fields: dict[object, object] = {"metadata": {"name": "x", "annotations": annotations}}
    assert decode_namespace(fields, strict_annotations=strict) == (Namespace("x"), ())


@pytest.mark.parametrize(
    "text", ["", "DefaultDeny", "[]", '{"ingress": "DefaultDeny"}', '{"ingress": {"isolation": 1}}']
)
def test_an_unreadable_annotation_is_open_unless_strict_and_noticed_either_way(text: str) -> None:
    fields: dict[object, object] = {"metadata": {"name": "x", "annotations": {ISOLATION_ANNOTATION: text}}}
    for strict in (False, True):
        found, [notice] = decode_namespace(fields, strict_annotations=strict)
        assert found.default_deny is strict
        assert (notice.kind, notice.namespace, notice.name) == ("Namespace", "", "x")
        assert notice.field == f"metadata.annotations[{ISOLATION_ANNOTATION}]"
        assert notice.message.endswith("the namespace is isolated" if strict else "the namespace is not isolated")


def annotated(**annotations: object) -> dict[object, object]:
    words = {f"netpol.io/{name.replace('_', '-')}": value for name, value in annotations.items()}
    return {"metadata": {"name": "x", "annotations": words}}


def test_x16_x17_the_treatment_of_a_namespaces_pods() -> None:
    fields = annotated(enforcement="audit", audit="allow", deny_action="reject")
    expected = Namespace("x", enforcement=Enforcement.AUDIT, audit=AuditLevel.ALLOWS, deny_action=DenyAction.REJECT)
    assert decode_namespace(fields, strict_annotations=False) == (expected, ())


@pytest.mark.parametrize("strict", [True, False])
def test_x16_x17_m7_a_treatment_that_is_not_understood_is_the_default_and_noticed(strict: bool) -> None:
    fields = annotated(enforcement="dry-run", audit="all", deny_action=5)
    found, notices = decode_namespace(fields, strict_annotations=strict)
    assert found == Namespace("x")
    assert {(notice.kind, notice.namespace, notice.name) for notice in notices} == {("Namespace", "", "x")}
    assert [f"{notice.field}: {notice.message}" for notice in notices] == [
        "metadata.annotations[netpol.io/enforcement]: must be enforce or audit, not 'dry-run'; it is enforced",
        "metadata.annotations[netpol.io/audit]: must be none or deny or allow, not 'all'; the flags decide",
        "metadata.annotations[netpol.io/deny-action]: must be drop or reject, not 5; the flags decide",
    ]


def test_m7_every_annotation_that_is_not_understood_is_noticed() -> None:
    fields = {"metadata": {"name": "x", "annotations": {ISOLATION_ANNOTATION: "{", "netpol.io/audit": ""}}}
    found, notices = decode_namespace(fields, strict_annotations=True)
    assert found == Namespace("x", default_deny=True)
    assert [notice.field for notice in notices] == [
        f"metadata.annotations[{ISOLATION_ANNOTATION}]",
        "metadata.annotations[netpol.io/audit]",
    ]


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({}, "metadata.name: is missing"),
        ({"name": "a.b"}, "metadata.name: 'a.b' is no name of a namespace"),
        ({"name": "x" * 64}, f"metadata.name: '{'x' * 60}'... is no name of a namespace"),
        ({"name": "x", "labels": {"a": None}}, "metadata.labels.a: must be a string, not null"),
        ({"name": "x", "annotations": []}, "metadata.annotations: must be a mapping, not a list"),
        (
            {"name": "x", "annotations": {ISOLATION_ANNOTATION: {"ingress": {"isolation": "DefaultDeny"}}}},
            f"metadata.annotations[{ISOLATION_ANNOTATION}]: must be a string, not a mapping",
        ),
    ],
)
def test_what_makes_a_namespace_malformed(metadata: object, problem: str) -> None:
    assert problems(decode_namespace, {"metadata": metadata}, strict_annotations=False) == [problem]


def test_the_name_label_is_put_where_it_lacks() -> None:
    assert with_name_label(Namespace("x", {"a": "b"}, default_deny=True)) == namespace("x", "a=b", deny=True)
    own = Namespace("x", {"kubernetes.io/metadata.name": "y"})
    assert with_name_label(own) == own


# --- nodes


def test_a_node_in_full() -> None:
    fields: dict[object, object] = {
        "metadata": {"name": "n1.example.org"},
        "spec": {"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24", "fd00:1::/64"]},
        "status": {
            "addresses": [
                {"type": "Hostname", "address": "n1"},
                {"type": "InternalIP", "address": "192.0.2.1"},
                {"type": "InternalIP", "address": "2001:db8::1"},
                {"type": "ExternalIP", "address": "198.51.100.1"},
                {"type": "InternalDNS", "address": "n1.local"},
            ]
        },
    }
    addresses = ("192.0.2.1", "2001:db8::1", "198.51.100.1")
    assert decode_node(fields) == node("n1.example.org", *addresses, pod_cidrs=["10.1.0.0/24", "fd00:1::/64"])


def test_a_nodes_internal_addresses_come_first() -> None:
    stated = [("ExternalIP", "198.51.100.1"), ("InternalIP", "192.0.2.2"), ("InternalIP", "192.0.2.1")]
    addresses = [{"type": kind, "address": text} for kind, text in stated]
    fields: dict[object, object] = {"metadata": {"name": "n"}, "status": {"addresses": addresses}}
    assert decode_node(fields) == node("n", "192.0.2.2", "192.0.2.1", "198.51.100.1")


@pytest.mark.parametrize(
    ("labels", "zone"),
    [
        ({"topology.kubernetes.io/zone": "a", "failure-domain.beta.kubernetes.io/zone": "b"}, "a"),
        ({"failure-domain.beta.kubernetes.io/zone": "b"}, "b"),
        ({"topology.kubernetes.io/zone": "", "failure-domain.beta.kubernetes.io/zone": "b"}, "b"),
        ({"topology.kubernetes.io/zone": 5}, ""),
        ({"zone": "a"}, ""),
        ("a", ""),
        (None, ""),
    ],
)
def test_a_nodes_zone_is_in_a_label(labels: object, zone: str) -> None:
    assert decode_node({"metadata": {"name": "n", "labels": labels}}) == node("n", zone=zone)


@pytest.mark.parametrize("spec", [{"podCIDR": "10.1.0.0/24"}, {"podCIDR": "10.1.0.0/24", "podCIDRs": []}])
def test_the_one_range_speaks_where_the_list_does_not(spec: object) -> None:
    assert decode_node({"metadata": {"name": "n"}, "spec": spec}) == node("n", pod_cidrs=["10.1.0.0/24"])


def test_a_node_may_be_only_its_name() -> None:
    assert decode_node({"metadata": {"name": "n"}, "spec": {"podCIDR": ""}}) == node("n")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "metadata.name: is missing"),
        ({"spec": {"podCIDR": 5}}, "spec.podCIDR: must be a string, not 5"),
        ({"spec": {"podCIDR": "10.0.0.0"}}, "spec.podCIDR: '10.0.0.0' is no CIDR"),
        ({"spec": {"podCIDRs": "10.0.0.0/8"}}, "spec.podCIDRs: must be a list, not '10.0.0.0/8'"),
        ({"spec": {"podCIDRs": ["10.0.0.0/8", 5]}}, "spec.podCIDRs[1]: 5 is no CIDR"),
        ({"status": {"addresses": {}}}, "status.addresses: must be a list, not a mapping"),
        ({"status": {"addresses": ["10.0.0.1"]}}, "status.addresses[0]: must be a mapping, not '10.0.0.1'"),
        ({"status": {"addresses": [{"type": "InternalIP"}]}}, "status.addresses[0].address: is missing"),
        (
            {"status": {"addresses": [{"type": "InternalIP", "address": "n1"}]}},
            "status.addresses[0].address: 'n1' is no IP address",
        ),
    ],
)
def test_what_makes_a_node_malformed(fields: dict[object, object], problem: str) -> None:
    named = fields and {"metadata": {"name": "n"}} | fields
    assert problems(decode_node, named) == [problem]
