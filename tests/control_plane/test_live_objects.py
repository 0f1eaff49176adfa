"""Pods, namespaces and policies that come and go at an API server, and what the agent may do and says there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from testbed.api_client import Object
from testbed.lab_agent import LabAgent
from testbed.lab_cluster import (
    BACKEND,
    BETA,
    CLIENT,
    CORE,
    DEFAULT_DENY,
    EVERYBODY,
    FRONTEND,
    IMPOSTOR,
    NAMESPACES,
    NOBODY,
    OWN_NODE,
    LabCluster,
)

pytestmark = pytest.mark.control_plane

POLICY = "production/backend"
PLACE = "production/backend 6379/TCP"
FRONTENDS = {"production/frontend", "production/front-two", OWN_NODE}
BACKENDS = {"matchLabels": {"tier": "backend"}}


def close(cluster: LabCluster, *ingress: Object) -> None:
    """The namespace is closed, but for what these rules open of the backend."""
    cluster.annotate("production", DEFAULT_DENY)
    cluster.create_policy(POLICY, podSelector=BACKENDS, ingress=list(ingress))


def events(cluster: LabCluster, namespace: str, reason: str) -> list[Object]:
    """What netpol has told there."""
    found = cluster.client.get(f"{CORE}/namespaces/{namespace}/events")["items"]
    return [each for each in found if each["source"]["component"] == "netpol" and each["reason"] == reason]


def test_no_right_is_too_many_and_none_is_missing(lab_cluster: LabCluster, log: Path) -> None:
    lab_cluster.unbind_role()
    # In its time a peer had one selector (B10); a name that no pod gives a number is wrong at any time.
    odd: list[Object] = [{"podSelector": {}, "namespaceSelector": {}}]
    close(lab_cluster, {"from": odd} if lab_cluster.release is BETA else {"ports": [{"port": "nowhere"}]})
    agent = LabAgent(lab_cluster, log)
    try:
        agent.start(until="reason=forbidden")
        assert agent.metric("netpol_resyncs_total") == 0
        assert "NETPOL" not in lab_cluster.home.run(["nft", "list", "ruleset"]).stdout
        lab_cluster.assert_reached({PLACE: EVERYBODY})
        lab_cluster.bind_role()
        agent.until_said("kernel programmed", 60)
        lab_cluster.assert_reached({PLACE: NOBODY})
        agent.until("an Event", lambda: events(lab_cluster, "production", "InvalidNetworkPolicy"))
        agent.until("every kind is followed", lambda: agent.metric("netpol_watch_connected") == 4)
        assert agent.metric("netpol_events_total", outcome="refused") == 0
    finally:
        agent.stop()


def test_an_address_has_the_labels_of_the_pod_that_holds_it(lab_cluster: LabCluster, log: Path) -> None:
    close(lab_cluster, {"from": [{"podSelector": {"matchLabels": {"tier": "frontend"}}}]})
    with LabAgent(lab_cluster, log) as agent:
        lab_cluster.assert_reached({PLACE: FRONTENDS})
        with agent.bringing("Pod gone name=production/frontend", "Pod changed name=production/frontend"):
            lab_cluster.delete_pod(FRONTEND)
            lab_cluster.create_pod(replace(FRONTEND, labels={"tier": "retired"}))
        lab_cluster.assert_reached({PLACE: FRONTENDS - {"production/frontend"}})
        with agent.bringing("Pod gone name=production/backend", "Pod changed name=production/database"):
            lab_cluster.delete_pod(BACKEND)
            lab_cluster.create_pod(replace(BACKEND, name="database", labels={"tier": "database"}))
        lab_cluster.assert_reached({PLACE: NOBODY})
        with agent.bringing("Pod changed name=production/database"):
            pods = f"{CORE}/namespaces/production/pods"
            lab_cluster.client.patch(f"{pods}/database", {"metadata": {"labels": {"tier": "backend"}}})
        lab_cluster.assert_reached({PLACE: FRONTENDS - {"production/frontend"}})
        agent.until_verified()


def test_a_namespace_goes_with_its_pods_and_comes_again(lab_cluster: LabCluster, log: Path) -> None:
    close(lab_cluster, {"from": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}}]})
    staging = {"staging/client", "staging/impostor", OWN_NODE}
    batch, client = "production/batch 80/TCP", "staging/client 80/TCP"
    with LabAgent(lab_cluster, log) as agent:
        lab_cluster.assert_reached({PLACE: staging, batch: NOBODY, client: EVERYBODY})
        # Whichever of the three comes first leaves the others nothing to do.
        with agent.hearing(facts=3):
            lab_cluster.delete_namespace("staging")
        # An address of this node's range that no pod has any more is dropped (G12).
        lab_cluster.assert_reached({PLACE: NOBODY, batch: NOBODY, client: NOBODY})
        (namespace,) = [each for each in NAMESPACES if each.name == "staging"]
        with agent.hearing(facts=3):
            lab_cluster.create_namespace(namespace)
            for pod in (CLIENT, IMPOSTOR):
                lab_cluster.create_pod(pod)
        lab_cluster.assert_reached({PLACE: staging, batch: NOBODY, client: EVERYBODY})


def test_an_annotation_that_is_no_json_is_told_on_its_namespace(lab_cluster: LabCluster, log: Path) -> None:
    with LabAgent(lab_cluster, log) as agent:
        lab_cluster.annotate("production", '{"ingress": DefaultDeny}')
        agent.until("an Event", lambda: told_of_production(lab_cluster))
        lab_cluster.assert_reached({PLACE: EVERYBODY})
        with agent.bringing("Namespace changed name=production"):
            lab_cluster.annotate("production", DEFAULT_DENY)
        lab_cluster.assert_reached({PLACE: NOBODY})
        assert agent.metric("netpol_notices", kind="Namespace") == 0


def told_of_production(cluster: LabCluster) -> list[Object]:
    found = events(cluster, "default", "InvalidAnnotation")
    uid = cluster.client.get(f"{CORE}/namespaces/production")["metadata"]["uid"]
    return [each for each in found if each["involvedObject"].get("uid") == uid]
