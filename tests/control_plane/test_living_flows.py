"""Open connections under an agent that follows an API server: the denied are cut, the allowed live on (G11)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from testbed.kubectl import Kubectl
from testbed.lab_agent import LabAgent
from testbed.lab_cluster import ANNOTATION, DEFAULT_DENY, LabCluster

from netpol.lab.flows import Flow, Speaker

pytestmark = pytest.mark.control_plane

PORTS = ("6379/TCP", "6380/UDP")
CHANGES = 100
POLICY = "production/backend"
NAMESPACE_CHANGED = "Namespace changed name=production"


@contextmanager
def flows(cluster: LabCluster, source: str, destination: str, port: int) -> Iterator[list[Flow]]:
    """A connection of TCP and one of UDP to the next port, of each family."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(Flow(question.source, question.place))
            for family in cluster.families
            for number, protocol in enumerate(("TCP", "UDP"))
            for question in [cluster.question(source, f"{destination} {port + number}/{protocol}", family)]
        ]


def live(opened: list[Flow]) -> bool:
    """True where each side of each is heard by the other."""
    return all(flow.passes(speaker) for flow in opened for speaker in Speaker)


def rules(number: int) -> list[object]:
    """Rules that let the frontends in, in some way or other."""
    frontends = {"podSelector": {"matchLabels": {"tier": "frontend"}}}
    same = {
        "podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["guestbook", f"n{number}"]}]}
    }
    ways = [
        {"from": [frontends]},
        {"from": [same, frontends], "ports": [{"port": 7000}, {"port": 7001, "protocol": "UDP"}]},
        {"from": [same]},
    ]
    return [{"from": [frontends], "ports": [{"port": 1000 + number}]}, ways[number % len(ways)]]


@pytest.mark.parametrize("first", list(Speaker), ids=lambda speaker: speaker.value)
def test_what_the_annotation_denies_is_cut_whoever_speaks(lab_cluster: LabCluster, log: Path, first: Speaker) -> None:
    kubectl = Kubectl(lab_cluster.server.kubeconfig())
    lab_cluster.create_policy(POLICY, podSelector={"matchLabels": {"tier": "backend"}}, ingress=[{}])
    with (
        LabAgent(lab_cluster, log) as agent,
        flows(lab_cluster, "staging/client", "production/batch", 6000) as near,
        flows(lab_cluster, "outside/client", "production/batch", 6002) as far,
        flows(lab_cluster, "staging/client", "production/backend", 6000) as allowed,
    ):
        before = agent.metric("netpol_flows_cut_total")
        with agent.bringing(NAMESPACE_CHANGED):
            kubectl("annotate", "ns", "production", f"{ANNOTATION}={DEFAULT_DENY}")
        assert not any(flow.passes(first, 0.3) for flow in (*near, *far))
        assert not any(flow.passes(speaker, 0.1) for flow in (*near, *far) for speaker in Speaker)
        assert live(allowed)
        assert agent.metric("netpol_flows_cut_total") == before + len(near) + len(far)


def test_a_flow_outlives_all_changes_that_allow_it(lab_cluster: LabCluster, log: Path) -> None:
    lab_cluster.annotate("production", DEFAULT_DENY)
    lab_cluster.create_policy(POLICY, podSelector={"matchLabels": {"tier": "backend"}}, ingress=rules(0))
    with (
        LabAgent(lab_cluster, log) as agent,
        flows(lab_cluster, "production/frontend", "production/backend", 7000) as allowed,
    ):
        before = agent.metric("netpol_flows_cut_total")
        for number in range(1, CHANGES + 1):
            lab_cluster.patch_policy(POLICY, ingress=rules(number))
            assert all(flow.passes(list(Speaker)[number % 2]) for flow in allowed), number
        agent.until_verified()
        assert live(allowed)
        assert agent.metric("netpol_flows_cut_total") == before
        assert agent.metric("netpol_watch_events_total", kind="NetworkPolicy", type="MODIFIED") == CHANGES
        with agent.bringing(f"NetworkPolicy gone name={POLICY}"):
            lab_cluster.delete_policy(POLICY)
        assert not any(flow.passes(speaker, 0.1) for flow in allowed for speaker in Speaker)
