"""The live agent in a real cluster: kubectl closes and opens, and packets and probes tell."""

from __future__ import annotations

import re

import pytest
from testbed.agent import Agent, netpol_command
from testbed.live_cluster import LiveCluster
from testbed.node_files import NODE
from testbed.node_rules import own_state
from testbed.workloads import (
    ANNOTATION,
    CLOSED,
    LiveNamespace,
    LivePod,
    Rule,
    deployment,
    policy,
    reaches_from,
    service,
)
from waiting import wait_until

pytestmark = pytest.mark.e2e


def test_annotating_closes_and_opens(
    live_cluster: LiveCluster, agent: Agent, namespace: LiveNamespace, other: LivePod
) -> None:
    namespace.apply(deployment("web", replicas=2))
    one, two = namespace.pods_of("web")
    for address in two.addresses:
        other.until_it_reaches(address)
    namespace.annotate(CLOSED)
    for address in two.addresses:
        other.until_it_meets_silence(address)
        one.until_it_meets_silence(address)
        assert not reaches_from(live_cluster.outside(), address, seconds=0.5)
        # The kubelet's requests come from the node (G8).
        assert reaches_from(live_cluster.inside(), address)
    # A pod of today becomes ready too, which takes a probe that is answered.
    namespace.apply(deployment("late"))
    (late,) = namespace.pods_of("late")
    assert not any(other.reaches(address, seconds=0.5) for address in late.addresses)
    assert late.reaches(other.addresses[0])
    namespace.annotate(f"{ANNOTATION}-")
    for address in (*two.addresses, *late.addresses):
        other.until_it_reaches(address)


def test_the_guestbook_opens_what_it_names(
    live_cluster: LiveCluster, agent: Agent, namespace: LiveNamespace, other: LivePod
) -> None:
    namespace.annotate(CLOSED)
    frontend = deployment("frontend", port=80, app="guestbook", tier="frontend")
    backend = deployment("backend", port=6379, app="redis", tier="backend")
    namespace.apply(frontend, backend)
    (front,) = namespace.pods_of("frontend")
    (back,) = namespace.pods_of("backend")
    other.until_it_meets_silence(front.addresses[0], 80)
    front.until_it_meets_silence(back.addresses[0], 6379)
    everybody_on_80: Rule = {"from": None, "ports": [{"protocol": "TCP", "port": 80}]}
    frontends = {"podSelector": {"matchLabels": {"tier": "frontend", "app": "guestbook"}}}
    frontends_on_6379: Rule = {"from": [frontends], "ports": [{"protocol": "TCP", "port": 6379}]}
    namespace.apply(
        policy("guestbook-allow-frontend", {"tier": "frontend"}, everybody_on_80),
        policy("guestbook-allow-backend", {"tier": "backend"}, frontends_on_6379),
    )
    for v4_or_v6 in range(2):
        other.until_it_reaches(front.addresses[v4_or_v6], 80)
        front.until_it_reaches(back.addresses[v4_or_v6], 6379)
        assert reaches_from(live_cluster.outside(), front.addresses[v4_or_v6], port=80)
        assert not other.reaches(back.addresses[v4_or_v6], 6379, seconds=0.5)
    namespace.kubectl("label", "pod", front.name, "tier-")
    front.until_it_meets_silence(back.addresses[0], 6379)


def test_a_service_leads_to_no_closed_pod(agent: Agent, namespace: LiveNamespace, other: LivePod) -> None:
    namespace.apply(deployment("web"), service("web"))
    namespace.pods_of("web")
    address = namespace.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    other.until_it_reaches(address, 80)
    namespace.annotate(CLOSED)
    other.until_it_meets_silence(address, 80)
    everybody = policy("open", {"deployment": "web"}, {})
    namespace.apply(everybody)
    other.until_it_reaches(address, 80)


def test_pods_that_come_and_go_leave_nothing(live_cluster: LiveCluster, agent: Agent, namespace: LiveNamespace) -> None:
    namespace.annotate(CLOSED)
    namespace.apply(deployment("web"))
    seen: set[str] = set()
    for replicas in (6, 2, 5, 1):
        namespace.kubectl("scale", "deployment/web", f"--replicas={replicas}")
        seen.update(address for pod in namespace.pods_of("web") for address in pod.addresses)
    (left,) = namespace.pods_of("web")
    gone = re.compile("|".join(rf"[ ,]{re.escape(address)}\b" for address in seen.difference(left.addresses)))
    wait_until(lambda: not any(map(gone.search, own_state(live_cluster))), "no rule and no set knows them")
    assert any(left.addresses[0] in line for line in own_state(live_cluster))
    live_cluster.run(
        *netpol_command("verify", f"--kubeconfig={live_cluster.kubeconfig}", f"--hostname-override={NODE}")
    )


def state_of(live_cluster: LiveCluster, pod: LivePod) -> list[str]:
    """The rules and members of sets that name the pod's addresses; other tests' pods may go meanwhile."""
    return [line for line in own_state(live_cluster) if any(address in line for address in pod.addresses)]


def test_rules_stay_while_the_agent_is_gone(
    live_cluster: LiveCluster, agent: Agent, namespace: LiveNamespace, other: LivePod
) -> None:
    namespace.apply(deployment("web"))
    (web,) = namespace.pods_of("web")
    namespace.annotate(CLOSED)
    other.until_it_meets_silence(web.addresses[0])
    agent.kill()
    before = state_of(live_cluster, web)
    assert before
    assert not other.reaches(web.addresses[0], seconds=0.5)
    agent.start()
    assert state_of(live_cluster, web) == before
    assert agent.stop() == 0
    assert state_of(live_cluster, web) == before
    namespace.annotate(f"{ANNOTATION}-")
    assert not other.reaches(web.addresses[0], seconds=0.5)
    agent.start()
    other.until_it_reaches(web.addresses[0])
