"""A directory of manifests as the source of a proxy: services and endpoints, where they are wanted."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest
from builders import address
from prometheus_client import CollectorRegistry

from netpol.bus import Bus
from netpol.errors import InputError
from netpol.model.facts import FIREWALL_KINDS, PROXY_KINDS, Key, Kind
from netpol.model.notices import Notice
from netpol.settings import PolicyOptions
from netpol.source.directory import DirectoryWatcher, Pace
from netpol.source.manifests import load
from netpol.telemetry.metrics import Metrics
from netpol.trigger import Trigger

BOTH = {*FIREWALL_KINDS, *PROXY_KINDS}
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: x}
spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}
"""
SLICE = """
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: x, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1]}]
ports: [{port: 8080}]
"""
NODE = "---\napiVersion: v1\nkind: Node\nmetadata: {name: n1}\n"
NAMESPACE = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n"


class Part:
    """What a watcher tells, kept."""

    def __init__(self, path: Path, kinds: Collection[Kind]) -> None:
        self.bus = Bus()
        self.news = self.bus.subscribe(list(Kind), Trigger())
        self.noticed: dict[str, list[str]] = {}
        self.failures: list[str] = []
        self.metrics = Metrics(CollectorRegistry(), kinds)
        pace = Pace(period=0.01, settle=0.0)
        self.watcher = DirectoryWatcher(path, PolicyOptions(), self.bus, self, self.metrics, self, pace, kinds=kinds)

    def put(self, key: Key, _uid: str, notices: tuple[Notice, ...]) -> None:
        self.noticed[str(key)] = [each.field for each in notices]

    def fail(self, _part: str, reason: str) -> None:
        self.failures.append(reason)

    def recover(self, _part: str) -> None:
        self.failures.clear()

    def told(self) -> set[str]:
        """What the bus has heard of since the last call."""
        return {str(fact.key) for fact in self.news.take()}

    def connected(self) -> dict[str, float]:
        """Which kinds are told to be followed."""
        (family,) = self.metrics.watch_connected.collect()
        return {sample.labels["kind"]: sample.value for sample in family.samples}


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    path = tmp_path / "all.yaml"
    path.write_text(SERVICE + SLICE + NODE + NAMESPACE)
    return path


@pytest.mark.parametrize(
    ("kinds", "told"),
    [
        (FIREWALL_KINDS, {"Namespace x", "Node n1"}),
        (PROXY_KINDS, {"Node n1", "Service x/web", "EndpointSlice x/web-1"}),
        (BOTH, {"Namespace x", "Node n1", "Service x/web", "EndpointSlice x/web-1"}),
    ],
)
def test_the_bus_has_the_kinds_that_are_wanted(path: Path, kinds: Collection[Kind], told: set[str]) -> None:
    part = Part(path, kinds)
    part.watcher.start()
    assert part.watcher.stop()
    assert part.told() == told
    assert {kind for kind in Kind if part.bus.in_sync([kind])} == {*kinds}
    assert part.connected() == {kind.value: 1.0 for kind in kinds}


def test_a_service_that_is_no_more_understood_changes_nothing(path: Path) -> None:
    part = Part(path, PROXY_KINDS)
    part.watcher.look()
    part.told()
    path.write_text(SERVICE.replace("port: 80", "port: x") + SLICE)
    part.watcher.look()
    assert part.told() == set()
    (failure,) = part.failures
    assert "spec.ports[0].port: must be a port from 1 to 65535, not 'x'" in failure
    assert part.connected() == {kind.value: 0.0 for kind in PROXY_KINDS}


def test_what_of_a_service_is_not_understood_is_noticed(path: Path) -> None:
    path.write_text(SERVICE.replace("ports:", "externalIPs: [nonsense], ports:") + SLICE.replace("10.0.0.1", "web"))
    part = Part(path, PROXY_KINDS)
    part.watcher.start()
    assert part.watcher.stop()
    assert part.noticed == {
        "Service x/web": ["spec.externalIPs[0]"],
        "EndpointSlice x/web-1": ["endpoints[0].addresses[0]"],
    }


def test_manifests_have_their_services_where_they_are_asked_for(path: Path) -> None:
    assert load(path, PolicyOptions()).snapshot.services == {}
    found = load(path, PolicyOptions(), BOTH).snapshot
    assert found.services["x", "web"].cluster_addresses == (address("10.96.0.1"),)
    assert found.endpoint_slices["x", "web-1"].service == "web"
    assert list(found.namespaces) == ["x"]


@pytest.mark.parametrize(
    ("text", "kinds", "message"),
    [
        (SERVICE, FIREWALL_KINDS, "holds no Pod, Namespace, Node or NetworkPolicy"),
        (NAMESPACE, PROXY_KINDS, "holds no Node, Service or EndpointSlice"),
    ],
)
def test_manifests_of_other_kinds_only_are_none(path: Path, text: str, kinds: Collection[Kind], message: str) -> None:
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load(path, PolicyOptions(), kinds)
