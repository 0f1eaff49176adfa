"""The guestbook on an API server of the annotation's time, from kubectl to packets."""

from __future__ import annotations

from pathlib import Path

import pytest
from testbed.kubectl import Kubectl
from testbed.lab_agent import LabAgent
from testbed.lab_cluster import ANNOTATION, DEFAULT_DENY, EVERYBODY, NOBODY, OWN_NODE, LabCluster

pytestmark = pytest.mark.control_plane

DAEMON_SET_ARGUMENTS = (
    "--run-router=false",
    "--masquerade-all",
    "--ipvs-sync-period=5s",
    "--iptables-sync-period=10s",
    "--cluster-cidr=10.0.0.0/8",
)
"""What the agent's predecessor was started with, and the agent is after it."""

GUESTBOOK = Path(__file__).parents[2] / "manifests" / "examples" / "20-guestbook.yaml"
FRONTEND_POLICY, BACKEND_POLICY = "production/guestbook-allow-frontend", "production/guestbook-allow-backend"

FRONTENDS = {"production/frontend", "production/front-two", OWN_NODE}
ALL_OPEN = dict.fromkeys(
    (
        "production/frontend 80/TCP",
        "production/frontend 81/TCP",
        "production/frontend 80/UDP",
        "production/backend 6379/TCP",
        "production/backend 80/TCP",
        "production/batch 80/TCP",
        "staging/client 80/TCP",
    ),
    EVERYBODY,
)
CLOSED = {**dict.fromkeys(ALL_OPEN, NOBODY), "staging/client 80/TCP": EVERYBODY}
OPENED = {**CLOSED, "production/frontend 80/TCP": EVERYBODY, "production/backend 6379/TCP": FRONTENDS}


def changed(*policies: str) -> list[str]:
    """What the agent logs of them."""
    return [f"NetworkPolicy changed name={policy}" for policy in policies]


def apply_guestbook(kubectl: Kubectl) -> None:
    # A release of before 1.27 knows nothing of the validation that kubectl asks for.
    kubectl("apply", "--validate=false", "-f", str(GUESTBOOK))


def test_the_guestbook_from_its_first_day_to_its_last(beta_cluster: LabCluster, log: Path) -> None:
    kubectl = Kubectl(beta_cluster.server.kubeconfig())
    with LabAgent(beta_cluster, log, *DAEMON_SET_ARGUMENTS) as agent:
        beta_cluster.assert_reached(ALL_OPEN)
        with agent.bringing("Namespace changed name=production"):
            kubectl("annotate", "ns", "production", f"{ANNOTATION}={DEFAULT_DENY}")
        beta_cluster.assert_reached(CLOSED)
        with agent.bringing(*changed(FRONTEND_POLICY, BACKEND_POLICY)):
            apply_guestbook(kubectl)
        beta_cluster.assert_reached(OPENED)

        with agent.bringing(*changed(FRONTEND_POLICY)):
            beta_cluster.patch_policy(FRONTEND_POLICY, ingress=[{"ports": [{"protocol": "TCP", "port": 81}]}])
        beta_cluster.assert_reached(
            {**OPENED, "production/frontend 80/TCP": NOBODY, "production/frontend 81/TCP": EVERYBODY}
        )
        with agent.bringing(f"NetworkPolicy gone name={FRONTEND_POLICY}"):
            kubectl("-n", "production", "delete", "networkpolicies.v1beta1.extensions", "guestbook-allow-frontend")
        beta_cluster.assert_reached({**OPENED, "production/frontend 80/TCP": NOBODY})
        with agent.bringing(*changed(FRONTEND_POLICY)):
            apply_guestbook(kubectl)
        beta_cluster.assert_reached(OPENED)

        with agent.bringing("Namespace changed name=production"):
            kubectl("annotate", "ns", "production", f"{ANNOTATION}-")
        assert len(beta_cluster.client.get(beta_cluster.policies("production"))["items"]) == 2
        beta_cluster.assert_reached(ALL_OPEN)
        agent.until_verified()
        assert "not understood" not in agent.said


def test_policies_of_an_open_namespace_are_none_until_it_is_closed(beta_cluster: LabCluster, log: Path) -> None:
    with LabAgent(beta_cluster, log) as agent:
        with agent.hearing(facts=2):
            apply_guestbook(Kubectl(beta_cluster.server.kubeconfig()))
        beta_cluster.assert_reached(ALL_OPEN)
        with agent.bringing("Namespace changed name=production"):
            beta_cluster.annotate("production", DEFAULT_DENY)
        beta_cluster.assert_reached(OPENED)
        with agent.bringing("Namespace changed name=production"):
            beta_cluster.annotate("production", '{"ingress": {"isolation": "defaultdeny"}}')
        beta_cluster.assert_reached(ALL_OPEN)


def test_they_isolate_by_themselves_where_they_are_to_mean_what_they_mean_today(
    beta_cluster: LabCluster, log: Path
) -> None:
    selected = {place: OPENED[place] for place in OPENED if not place.startswith("production/batch")}
    with LabAgent(beta_cluster, log, "--v1beta1-semantics=v1") as agent:
        beta_cluster.assert_reached(ALL_OPEN)
        with agent.bringing(*changed(FRONTEND_POLICY, BACKEND_POLICY)):
            apply_guestbook(Kubectl(beta_cluster.server.kubeconfig()))
        beta_cluster.assert_reached({**ALL_OPEN, **selected})
        with agent.bringing("Namespace changed name=production"):
            beta_cluster.annotate("production", DEFAULT_DENY)
        beta_cluster.assert_reached(OPENED)
        with agent.bringing(f"NetworkPolicy gone name={FRONTEND_POLICY}"):
            beta_cluster.delete_policy(FRONTEND_POLICY)
        beta_cluster.assert_reached({**OPENED, "production/frontend 80/TCP": NOBODY})
        agent.until_verified()
