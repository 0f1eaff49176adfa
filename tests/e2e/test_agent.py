"""The live agent in a real cluster: kubectl closes and opens, and packets and probes tell."""

from __future__ import annotations

import re

import pytest
from testbed.agent import Agent, netpol_command
from testbed.live_cluster import LiveCluster
from testbed.node_files import NODE
from testbed.node_rules import own_state
from testbed.waiting import wait_for
from testbed.workloads import (
    ANNOTATION,
    CLOSED,
    LivePod,
    Rule,
    apply,
    deployment,
    pods_of,
    policy,
    reaches_from,
    service,
    until_reached,
    until_silent,
)

pytestmark = pytest.mark.e2e


def test_annotating_closes_and_opens(live_cluster: LiveCluster, agent: Agent, namespace: str, other: LivePod) -> None:
    apply(live_cluster, namespace, deployment("web", replicas=2))
    one, two = pods_of(live_cluster, namespace, "web")
    for address in two.addresses:
        until_reached(other, address)
    live_cluster.kubectl("annotate", "namespace", namespace, CLOSED)
    for address in two.addresses:
        until_silent(other, address)
        until_silent(one, address)
        assert not reaches_from(live_cluster.outside(), address, seconds=0.5)
        # The kubelet's requests come from the node (G8).
        assert reaches_from(live_cluster.inside(), address)
    # A pod of today becomes ready too, which takes a probe that is answered.
    apply(live_cluster, namespace, deployment("late"))
    (late,) = pods_of(live_cluster, namespace, "late")
    assert not any(other.reaches(address, seconds=0.5) for address in late.addresses)
    assert late.reaches(other.addresses[0])
    live_cluster.kubectl("annotate", "namespace", namespace, f"{ANNOTATION}-")
    for address in (*two.addresses, *late.addresses):
        until_reached(other, address)


def test_the_guestbook_opens_what_it_names(
    live_cluster: LiveCluster, agent: Agent, namespace: str, other: LivePod
) -> None:
    live_cluster.kubectl("annotate", "namespace", namespace, CLOSED)
    frontend = deployment("frontend", port=80, app="guestbook", tier="frontend")
    backend = deployment("backend", port=6379, app="redis", tier="backend")
    apply(live_cluster, namespace, frontend, backend)
    (front,) = pods_of(live_cluster, namespace, "frontend")
    (back,) = pods_of(live_cluster, namespace, "backend")
    until_silent(other, front.addresses[0], 80)
    until_silent(front, back.addresses[0], 6379)
    everybody_on_80: Rule = {"from": None, "ports": [{"protocol": "TCP", "port": 80}]}
    frontends = {"podSelector": {"matchLabels": {"tier": "frontend", "app": "guestbook"}}}
    frontends_on_6379: Rule = {"from": [frontends], "ports": [{"protocol": "TCP", "port": 6379}]}
    apply(
        live_cluster,
        namespace,
        policy("guestbook-allow-frontend", {"tier": "frontend"}, everybody_on_80),
        policy("guestbook-allow-backend", {"tier": "backend"}, frontends_on_6379),
    )
    for v4_or_v6 in range(2):
        until_reached(other, front.addresses[v4_or_v6], 80)
        until_reached(front, back.addresses[v4_or_v6], 6379)
        assert reaches_from(live_cluster.outside(), front.addresses[v4_or_v6], port=80)
        assert not other.reaches(back.addresses[v4_or_v6], 6379, seconds=0.5)
    live_cluster.kubectl("-n", namespace, "label", "pod", front.name, "tier-")
    until_silent(front, back.addresses[0], 6379)


def test_a_service_leads_to_no_closed_pod(
    live_cluster: LiveCluster, agent: Agent, namespace: str, other: LivePod
) -> None:
    apply(live_cluster, namespace, deployment("web"), service("web"))
    pods_of(live_cluster, namespace, "web")
    address = live_cluster.kubectl("-n", namespace, "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    until_reached(other, address, 80)
    live_cluster.kubectl("annotate", "namespace", namespace, CLOSED)
    until_silent(other, address, 80)
    everybody = policy("open", {"deployment": "web"}, {})
    apply(live_cluster, namespace, everybody)
    until_reached(other, address, 80)


def test_pods_that_come_and_go_leave_nothing(live_cluster: LiveCluster, agent: Agent, namespace: str) -> None:
    live_cluster.kubectl("annotate", "namespace", namespace, CLOSED)
    apply(live_cluster, namespace, deployment("web"))
    seen: set[str] = set()
    for replicas in (6, 2, 5, 1):
        live_cluster.kubectl("-n", namespace, "scale", "deployment/web", f"--replicas={replicas}")
        seen.update(address for pod in pods_of(live_cluster, namespace, "web") for address in pod.addresses)
    (left,) = pods_of(live_cluster, namespace, "web")
    gone = re.compile("|".join(rf"[ ,]{re.escape(address)}\b" for address in seen.difference(left.addresses)))
    wait_for("no rule and no set knows them", lambda: not any(map(gone.search, own_state(live_cluster))))
    assert any(left.addresses[0] in line for line in own_state(live_cluster))
    live_cluster.run(
        *netpol_command("verify", f"--kubeconfig={live_cluster.kubeconfig}", f"--hostname-override={NODE}")
    )


def state_of(live_cluster: LiveCluster, pod: LivePod) -> list[str]:
    """The rules and members of sets that name the pod's addresses; other tests' pods may go meanwhile."""
    return [line for line in own_state(live_cluster) if any(address in line for address in pod.addresses)]


def test_rules_stay_while_the_agent_is_gone(
    live_cluster: LiveCluster, agent: Agent, namespace: str, other: LivePod
) -> None:
    apply(live_cluster, namespace, deployment("web"))
    (web,) = pods_of(live_cluster, namespace, "web")
    live_cluster.kubectl("annotate", "namespace", namespace, CLOSED)
    until_silent(other, web.addresses[0])
    agent.kill()
    before = state_of(live_cluster, web)
    assert before
    assert not other.reaches(web.addresses[0], seconds=0.5)
    agent.start()
    assert state_of(live_cluster, web) == before
    assert agent.stop() == 0
    assert state_of(live_cluster, web) == before
    live_cluster.kubectl("annotate", "namespace", namespace, f"{ANNOTATION}-")
    assert not other.reaches(web.addresses[0], seconds=0.5)
    agent.start()
    until_reached(other, web.addresses[0])
