"""Bytes of one object to a value, and to a notice where there is none."""

from __future__ import annotations

import json

import msgspec
import pytest
from builders import namespace, node, pod, policy, rule, world
from hypothesis import given
from hypothesis import strategies as st
from world_manifests import manifests
from worlds import snapshots

from netpol.model.facts import FIREWALL_KINDS, Kind
from netpol.model.objects import Namespace, Node, Pod
from netpol.model.policies import Policy
from netpol.model.snapshot import Snapshot
from netpol.settings import PolicyOptions
from netpol.source.catalogue import Catalogue
from netpol.source.kube.objects import Found, ObjectReader
from netpol.source.kube.pages import Garbled
from netpol.source.kube.resources import resources
from netpol.source.objects import decode_pod

READERS = {kind: candidates[0].reader for kind, candidates in resources(PolicyOptions()).items()}


def read(fields: object, kind: Kind = Kind.POD) -> Found:
    return READERS[kind].read(msgspec.Raw(json.dumps(fields).encode()))[1]


def pod_fields(**changes: object) -> dict[str, object]:
    return {**manifests(world(pod("x/a", "10.0.0.1")))[0], **changes}


@given(snapshots())
def test_the_api_is_read_as_manifests_are(snapshot: Snapshot) -> None:
    catalogue, table = Catalogue(PolicyOptions()), resources(PolicyOptions(), synthesise_name_label=True)
    values = []
    for fields in manifests(snapshot):
        catalogue.add(fields["apiVersion"], fields["kind"], fields, "here")
        (reader,) = (each.reader for each in table[Kind(fields["kind"])] if each.api_version == fields["apiVersion"])
        found = reader.read(msgspec.Raw(json.dumps(fields).encode()))[1]
        assert found.is_understood
        values.append(found.value)
    read_as_manifests = catalogue.snapshot()
    assert [value for value in values if isinstance(value, Pod)] == [*read_as_manifests.pods.values()]
    assert [value for value in values if isinstance(value, Policy)] == [*read_as_manifests.policies.values()]
    assert [value for value in values if isinstance(value, Node)] == [*read_as_manifests.nodes.values()]
    assert [value for value in values if isinstance(value, Namespace)] == [*read_as_manifests.namespaces.values()]


def test_fields_that_are_not_used_may_hold_anything() -> None:
    fields = pod_fields(apiVersion=5, kind=[], extra={"deep": [1, 2]})
    assert read(fields).value == pod("x/a", "10.0.0.1")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"status": "Running"}, "status"),
        ({"status": {"podIP": "nonsense"}}, "status.podIP"),
        ({"spec": {"containers": ["main"]}}, "spec.containers[0]"),
        ({"spec": {"containers": [{"ports": "all"}]}}, "spec.containers[0].ports"),
    ],
)
def test_a_field_of_another_type_is_named(changes: dict[str, object], field: str) -> None:
    found = read(pod_fields(**changes))
    assert not found.is_understood
    assert found.value is None
    assert [notice.field for notice in found.notices] == [field]
    assert found.key.object_name == ("x", "a")


@pytest.mark.parametrize(
    ("owners", "workload"),
    [
        ([{"kind": "Job", "name": "backup", "uid": "u", "controller": True, "apiVersion": "batch/v1"}], "Job/backup"),
        ([{"kind": 5, "controller": True}], ""),
        (["Job/backup"], ""),
        ({"kind": "Job"}, ""),
    ],
)
def test_a_pod_with_any_owners_is_understood(owners: object, workload: str) -> None:
    found = read(pod_fields(metadata={"namespace": "x", "name": "a", "uid": "uid-of-x-a", "ownerReferences": owners}))
    assert found.value == pod("x/a", "10.0.0.1", workload=workload)
    assert found.is_understood


@pytest.mark.parametrize("metadata", [None, {}, {"name": ""}, {"name": 5}, "a"])
def test_an_object_without_a_name_is_none(metadata: object) -> None:
    with pytest.raises(Garbled):
        read(pod_fields(metadata=metadata))


def test_bytes_that_only_a_skipping_reader_takes() -> None:
    broken = b'{"metadata":{"name":"a","namespace":"x"},"spec":{"nodeName":"\xff\xfe"}}'
    _, found = READERS[Kind.POD].read(msgspec.Raw(broken))
    assert not found.is_understood
    assert "cannot be decoded" in found.notices[0].message


def test_an_object_nested_too_deeply_is_not_understood() -> None:
    reader = ObjectReader(Kind.POD, dict[str, object], lambda fields: (decode_pod(fields), ()))
    deep = b'{"metadata":{"name":"a","namespace":"x"},"spec":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    try:
        _, found = reader.read(msgspec.Raw(deep))
    except Garbled:
        return
    assert not found.is_understood


@given(st.binary())
def test_any_bytes_are_an_object_or_garbage(body: bytes) -> None:
    try:
        READERS[Kind.NETWORK_POLICY].read(msgspec.Raw(body))
    except Garbled:
        assert b'"name"' not in body


def test_every_kind_has_its_reader() -> None:
    things = world(namespace("x"), node("n"), pod("x/a"), policy("x/p", ingress=[rule()]))
    assert {read(each, Kind(each["kind"])).key.kind for each in manifests(things)} == set(FIREWALL_KINDS)
