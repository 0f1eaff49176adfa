"""One look at a cluster is the same world that manifests of it are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from api_server import ApiServer, status
from api_store import Age
from builders import block, namespace, node, pod, policy, rule, world
from world_manifests import manifests

from netpol.errors import NetpolError
from netpol.model.labels import EVERYTHING
from netpol.model.policies import Semantics
from netpol.model.snapshot import Snapshot
from netpol.settings import ApiSource, NetworkPolicyApi, PolicyOptions
from netpol.source.kube.connection import ApiConnection, connect
from netpol.source.kube.cursor import PAGE_LIMIT
from netpol.source.kube.failures import ApiFailure
from netpol.source.kube.listing import load

WORLD = world(
    node("one", "192.168.0.1", pod_cidrs=["10.1.0.0/24"]),
    namespace("x", "team=red"),
    namespace("y", deny=True),
    pod("x/a", "10.1.0.1", "fd00::1", labels="app=web", ports="http=80/TCP", node="one"),
    pod("y/b", "10.1.0.2", node="one"),
    policy("x/allow", "app=web", ingress=[rule(peers=[block("10.0.0.0/8", "10.9.0.0/16")], ports=["http/TCP"])]),
)


@pytest.fixture(name="server")
def _server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        server.store.load(manifests(WORLD))
        yield server


@pytest.fixture(name="connection")
def _connection(server: ApiServer) -> Iterator[ApiConnection]:
    with connect(ApiSource(master=server.url)) as connection:
        yield connection


def test_the_cluster_is_the_world_that_it_was_made_from(connection: ApiConnection) -> None:
    loaded = load(connection, PolicyOptions())
    assert loaded.snapshot == WORLD
    assert (loaded.notices, loaded.warnings, loaded.semantics) == ((), (), Semantics.V1)


def test_what_was_not_understood_is_told(server: ApiServer, connection: ApiConnection) -> None:
    bad = manifests(world(pod("x/bad", "10.1.0.9")))[0]
    bad["status"]["podIP"] = "nonsense"
    bad["status"]["podIPs"] = []
    server.store.put(bad)
    server.store.put_raw("pods", "x", "odd", b'{"metadata":{"resourceVersion":"VERSION"}}')
    server.store.put_raw(
        "networkpolicies",
        "x",
        "odd",
        b'{"metadata":{"name":"odd","namespace":"x","generation":"one","resourceVersion":"VERSION"}}',
    )
    loaded = load(connection, PolicyOptions())
    assert loaded.snapshot.pods == WORLD.pods
    assert loaded.snapshot.policies["x", "odd"].pods == EVERYTHING
    assert [(notice.kind, notice.field) for notice in loaded.notices] == [
        ("Pod", "status.podIP"),
        ("NetworkPolicy", "metadata.generation"),
    ]
    assert loaded.warnings == ("Pod of v1: a Pod has no name: passed over",)


def test_large_kinds_come_in_pages(server: ApiServer, connection: ApiConnection) -> None:
    many = [pod(f"x/p{n}", f"10.2.{n // 250}.{n % 250}") for n in range(PAGE_LIMIT + 1)]
    server.store.load(manifests(world(*many)))
    server.fail("page", "pods", status(410, "expired"))
    loaded = load(connection, PolicyOptions())
    assert len(loaded.snapshot.pods) == len(WORLD.pods) + len(many)
    assert server.times_asked("list", "pods") == 2


def test_lists_that_go_on_expiring_end_it(server: ApiServer, connection: ApiConnection) -> None:
    server.fail("list", "namespaces", *[status(410, "expired")] * 3)
    with pytest.raises(ApiFailure, match="410"):
        load(connection, PolicyOptions())


def test_a_cluster_without_namespaces_is_none() -> None:
    with (
        ApiServer() as empty,
        connect(ApiSource(master=empty.url)) as connection,
        pytest.raises(NetpolError, match="lists no Namespace: it is not ready, or no cluster's"),
    ):
        load(connection, PolicyOptions())


def test_an_api_that_is_not_served(connection: ApiConnection) -> None:
    with pytest.raises(NetpolError, match="serves no extensions/v1beta1: there is no NetworkPolicy to read"):
        load(connection, PolicyOptions(), NetworkPolicyApi.V1BETA1)


def test_an_old_server() -> None:
    only_one: Snapshot = world(namespace("x"), node("one"), policy("x/allow"))
    with ApiServer(Age.OLD) as old, connect(ApiSource(master=old.url)) as connection:
        old.store.load(manifests(only_one))
        old.store.put({"kind": "Namespace", "metadata": {"name": "x"}})
        loaded = load(connection, PolicyOptions(), NetworkPolicyApi.V1BETA1, synthesise_name_label=True)
        assert loaded.snapshot.namespaces == only_one.namespaces
        assert loaded.snapshot.policies["x", "allow"].semantics is Semantics.ANNOTATION
        assert loaded.semantics is Semantics.ANNOTATION


def test_what_policies_would_follow_is_known_where_there_are_none() -> None:
    with ApiServer(Age.OLD) as old, connect(ApiSource(master=old.url)) as connection:
        old.store.load(manifests(world(namespace("x"), node("one"))))
        loaded = load(connection, PolicyOptions(), NetworkPolicyApi.V1BETA1)
        assert (dict(loaded.snapshot.policies), loaded.semantics) == ({}, Semantics.ANNOTATION)
        as_today = PolicyOptions(v1beta1_semantics=Semantics.V1)
        assert load(connection, as_today, NetworkPolicyApi.V1BETA1).semantics is Semantics.V1
