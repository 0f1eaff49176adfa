"""Kubernetes Events as real API servers of both releases take them and kubectl shows them."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry
from testbed.api_client import ApiClient, Object, Refused
from testbed.api_servers import STRANGER, ApiServer
from testbed.kubectl import Kubectl

from netpol.model.facts import Key, Kind
from netpol.model.notices import Notice
from netpol.telemetry.events import LONGEST_NAME, EventWriter
from netpol.telemetry.metrics import Metrics

pytestmark = pytest.mark.control_plane

ANY_TEXT = 'no "key" \\ of\tthis\nkind: é😀\x00\x1b\u202e' + "x" * 2000


class Requests:
    """Posts as the plain client does; what the server refuses is a status."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def post(self, path: str, body: Mapping[str, object]) -> int:
        try:
            self._client.create(path, dict(body))
        except Refused as refused:
            return refused.status
        return 201


def told(client: ApiClient, node: str, *notices: tuple[Key, str, str]) -> dict[str, float]:
    """What became of the Events of these objects' notices, by outcome; all are dealt with."""
    registry = CollectorRegistry()
    counter = Metrics(registry).events
    writer = EventWriter(Requests(client), node, counter, lambda: datetime.now(UTC), time.monotonic, threading.Event())
    for key, uid, message in notices:
        writer.offer(key, uid, Notice(key.kind.value, *key.object_name, "spec.ingress[0]", message))
    writer._waiting.put_nowait(None)
    writer.run()
    return {sample.labels["outcome"]: sample.value for family in counter.collect() for sample in family.samples}


def existing(client: ApiClient, namespace: str, name: str) -> tuple[Key, str]:
    """A policy of this name in a namespace of its own, and its uid."""
    client.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    policy: Object = {"metadata": {"name": name}, "spec": {"podSelector": {}}}
    made = client.create(f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies", policy)
    return Key(Kind.NETWORK_POLICY, namespace, name), made["metadata"]["uid"]


def test_an_event_is_taken_once_from_the_agents_of_all_nodes(client: ApiClient, namespace: str) -> None:
    key, uid = existing(client, namespace, "allow")

    assert told(client, "n1", (key, uid, ANY_TEXT)) == {"posted": 1}
    assert told(client, "n2", (key, uid, ANY_TEXT)) == {"exists": 1}

    [event] = client.get(f"/api/v1/namespaces/{namespace}/events")["items"]
    assert event["involvedObject"]["uid"] == uid
    assert event["message"].startswith('spec.ingress[0]: no "key" \\ of\tthis\nkind: é😀')
    assert event["source"] == {"component": "netpol", "host": "n1"}


def test_an_event_on_a_namespace_is_taken_in_default(client: ApiClient, namespace: str) -> None:
    made = client.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    key = Key(Kind.NAMESPACE, "", namespace)

    assert told(client, "n1", (key, made["metadata"]["uid"], "no JSON")) == {"posted": 1}


def test_an_event_of_the_longest_name_is_taken(client: ApiClient, namespace: str) -> None:
    key, uid = existing(client, namespace, ".".join(["a" * 63] * 3 + ["a" * (LONGEST_NAME - 3 * 64)]))

    assert told(client, "n1", (key, uid, "no known peer")) == {"posted": 1}


def test_a_namespace_that_is_gone_and_a_role_without_the_verb_are_refusals(
    api_server: ApiServer, client: ApiClient, namespace: str
) -> None:
    key, uid = existing(client, namespace, "allow")
    gone = Key(Kind.NETWORK_POLICY, f"{namespace}-gone", "allow")

    assert told(client, "n1", (gone, "u", "no known peer")) == {"refused": 1}
    assert told(api_server.client(STRANGER), "n1", (key, uid, "no known peer")) == {"refused": 1}


def test_kubectl_shows_an_event_as_the_page_says(current_server: ApiServer, namespace: str) -> None:
    client = current_server.client()
    key, uid = existing(client, namespace, "allow")
    told(client, "n1", (key, uid, "no known peer"))
    kubectl = Kubectl(current_server.kubeconfig())

    for command in (
        ("get", "events", "--all-namespaces", "--field-selector", "source=netpol"),
        ("events", "--namespace", namespace, "--for", "networkpolicy/allow"),
    ):
        assert "spec.ingress[0]: no known peer" in kubectl(*command), command
