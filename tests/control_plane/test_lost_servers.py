"""Packets while the API server forgets, is away, or comes back empty-handed: nothing is opened and nothing closed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from testbed.lab_agent import LabAgent
from testbed.lab_cluster import CORE, DEFAULT_DENY, EVERYBODY, NODES, LabCluster
from testbed.throughout import judged_throughout

from netpol.model.facts import FIREWALL_KINDS

pytestmark = pytest.mark.control_plane

BACK_SECONDS = 60
"""How long it may take until an agent asks a server again that was away, and is told."""

POLICY = "production/backend"
ALLOWED_SENDERS, DENIED_SENDERS = (
    ("production/frontend", "production/front-two"),
    ("production/batch", "staging/impostor"),
)
SENDERS = {*ALLOWED_SENDERS, *DENIED_SENDERS}
ALLOWED = [{"from": [{"podSelector": {"matchLabels": {"tier": "frontend"}}}], "ports": [{"port": 6379}]}]


def close(cluster: LabCluster) -> None:
    """The namespace is closed but for the frontends' way to the backend."""
    cluster.annotate("production", DEFAULT_DENY)
    cluster.create_policy(POLICY, podSelector={"matchLabels": {"tier": "backend"}}, ingress=ALLOWED)


@contextmanager
def judged_alike(cluster: LabCluster) -> Iterator[None]:
    """All the while inside, a frontend reaches the backend, and the batch job and another namespace do not."""
    place = "production/backend 6379/TCP"
    allowed, denied = (
        [cluster.question(source, place, family) for source in senders for family in cluster.families]
        for senders in (ALLOWED_SENDERS, DENIED_SENDERS)
    )
    with judged_throughout(allowed, denied):
        yield


@contextmanager
def away(cluster: LabCluster) -> Iterator[None]:
    """The server was killed, and serves again after it."""
    cluster.server.kill()
    try:
        yield
    finally:
        cluster.server.start()


def failures(agent: LabAgent, reason: str) -> float:
    """How many requests have failed for this reason."""
    return agent.metric("netpol_watch_failures_total", reason=reason)


def assert_closed(cluster: LabCluster) -> None:
    """The frontend is closed to another namespace."""
    cluster.assert_reached({"production/frontend 80/TCP": ()}, sources={"staging/client"})


def until_followed(agent: LabAgent) -> None:
    """Every kind is followed again."""
    agent.until("follows again", lambda: agent.metric("netpol_watch_connected") == len(FIREWALL_KINDS), BACK_SECONDS)


def assert_a_change_arrives(cluster: LabCluster, agent: LabAgent) -> None:
    """A policy that is made now is in force soon."""
    place, others = "production/batch 80/TCP", EVERYBODY - SENDERS - {"production/batch"}
    with agent.bringing("NetworkPolicy changed name=production/later"):
        cluster.create_policy("production/later", podSelector={"matchLabels": {"app": "batch"}}, ingress=[{}])
    cluster.assert_reached({place: others}, sources=others)


def test_a_server_that_is_away_and_has_forgotten_what_was_asked_for(lab_cluster: LabCluster, log: Path) -> None:
    close(lab_cluster)
    with LabAgent(lab_cluster, log) as agent, judged_alike(lab_cluster):
        lists = agent.metric("netpol_lists_total")
        # Other kinds' objects make all that the agent has seen a matter of the past.
        for number in range(5):
            lab_cluster.client.create(f"{CORE}/namespaces/staging/configmaps", {"metadata": {"name": f"c{number}"}})
        with away(lab_cluster):
            agent.until("every kind has failed", lambda: failures(agent, "unreachable") >= len(FIREWALL_KINDS))
            assert agent.metric("netpol_watch_connected") == 0
            assert_closed(lab_cluster)
            lab_cluster.server.etcd.compact()
        agent.until("a version is gone", lambda: failures(agent, "gone"), BACK_SECONDS)
        until_followed(agent)
        assert agent.metric("netpol_lists_total") > lists
        assert_a_change_arrives(lab_cluster, agent)
    assert "reason=gone" in agent.said


def test_a_server_that_has_lost_everything(lab_cluster: LabCluster, log: Path) -> None:
    close(lab_cluster)
    with LabAgent(lab_cluster, log) as agent, judged_alike(lab_cluster):
        programmed = agent.metric("netpol_batches_total")
        lab_cluster.server.wipe()
        lab_cluster.bind_role()
        agent.until_said("knows no node one, so nothing that it lists is believed", BACK_SECONDS)
        assert_closed(lab_cluster)
        assert agent.metric("netpol_batches_total") == programmed

        lab_cluster.register(nodes=())
        close(lab_cluster)
        for each in NODES:
            lab_cluster.create_node(each)
        until_followed(agent)
        assert_a_change_arrives(lab_cluster, agent)
        agent.until_verified()
