"""Named ports that nothing resolves are told of, and only those (M7, V7)."""

from __future__ import annotations

import pytest
from builders import EGRESS, beta, block, namespace, pod, pods, policy, rule, world

from netpol.model.objects import Namespace, Pod
from netpol.model.policies import Peer, Policy
from netpol.policy.unresolved import unresolved_ports

WEB = pod("x/web", "10.0.0.1", labels="app=web", ports="http=80/TCP dns=53/UDP")
BARE = pod("x/bare", "10.0.0.2", labels="app=bare")
FAR = pod("y/far", "10.0.1.1", "fd00::1", labels="app=far", ports="far=90/TCP")
CLUSTER: tuple[Namespace | Pod, ...] = (namespace("x"), namespace("y", "team=far"), WEB, BARE, FAR)


def told(*objects: Namespace | Pod | Policy) -> list[str]:
    return [str(notice) for notice in unresolved_ports(world(*CLUSTER, *objects))]


def ingress(pods: str, *ports: str) -> Policy:
    return policy("x/p", pods, ingress=[rule(ports=ports)])


@pytest.mark.parametrize("pods", ["", "app=web", "app in (web,bare)", "app", "!other"])
def test_one_selected_pod_with_the_port_is_enough(pods: str) -> None:
    assert told(ingress(pods, "http/TCP", "dns/UDP")) == []


@pytest.mark.parametrize(
    ("pods", "port"),
    [("app=web", "htpp/TCP"), ("app=web", "http/UDP"), ("app=bare", "http/TCP"), ("", "far/TCP")],
)
def test_m7_a_port_of_no_selected_pod_is_told_of(pods: str, port: str) -> None:
    message = f"no pod that the policy selects has a port {port}; it allows nothing"
    assert told(ingress(pods, port, "80/TCP")) == [f"NetworkPolicy x/p: spec.ingress[0].ports: {message}"]


def test_b9_beta_policies_are_judged_alike() -> None:
    [notice] = told(beta("x/p", "app=bare", ingress=[rule(ports=["http/TCP"])]))
    assert "x/p: spec.ingress[0].ports: no pod" in notice


@pytest.mark.parametrize(
    ("peers", "resolved"),
    [
        (None, True),
        ([pods(namespaces="")], True),
        ([pods(namespaces="team=far")], True),
        ([pods("app=far", namespaces="team=far")], True),
        ([pods(namespace="y")], True),
        ([pods()], False),
        ([pods("app=web", namespaces="")], False),
        ([pods(namespaces="team=none")], False),
        ([pods(), pods(namespace="y")], True),
        ([block("10.0.1.0/24")], True),
        ([block("fd00::/64")], True),
        ([block("10.0.0.0/16", "10.0.1.0/24")], False),
        ([block("192.0.2.0/24")], False),
    ],
)
def test_v7_of_egress_the_pods_that_the_peers_mean_count(peers: list[Peer] | None, resolved: bool) -> None:
    found = told(policy("x/p", "app=web", egress=[rule(peers, ["far/TCP"])], directions=EGRESS))
    message = "no pod that the rule's peers mean has a port far/TCP; it allows nothing"
    assert found == ([] if resolved else [f"NetworkPolicy x/p: spec.egress[0].ports: {message}"])


def test_an_egress_port_that_no_pod_has_at_all() -> None:
    [notice] = told(policy("x/p", egress=[rule(), rule(ports=["53/UDP", "nowhere/TCP"])], directions=EGRESS))
    assert notice == "NetworkPolicy x/p: spec.egress[1].ports: no pod has a port nowhere/TCP; it allows nothing"


@pytest.mark.parametrize(
    "objects",
    [
        [ingress("app=none", "http/TCP")],
        [policy("z/p", ingress=[rule(ports=["http/TCP"])])],
        [ingress("app=new", "http/TCP"), pod("x/new", labels="app=new")],
        [ingress("app=done", "http/TCP"), pod("x/done", "10.0.0.9", labels="app=done", finished=True)],
        [ingress("app=host", "http/TCP"), pod("x/host", "10.0.0.9", labels="app=host", host_network=True)],
    ],
)
def test_g3_a_policy_that_selects_no_actionable_pod_is_not_told_of(objects: list[Pod | Policy]) -> None:
    assert told(*objects) == []


def test_g3_the_port_of_a_pod_that_is_not_actionable_does_not_count() -> None:
    done = pod("x/done", "10.0.0.9", labels="app=bare", ports="old=80/TCP", finished=True)
    [notice] = told(done, ingress("app=bare", "old/TCP"))
    assert "old/TCP" in notice


def test_v2_rules_of_a_direction_that_is_not_ruled_are_not_told_of() -> None:
    assert told(policy("x/p", ingress=[rule(ports=["none/TCP"])], directions=EGRESS)) == []


def test_a_rule_for_nobody_is_not_told_of() -> None:
    assert told(policy("x/p", ingress=[rule([], ["none/TCP"])])) == []


def test_x2_a_pod_of_an_unknown_namespace_is_meant_by_no_namespace_selector() -> None:
    lost = pod("lost/a", "10.0.2.1", ports="lost=80/TCP")
    for peers, count in (([pods(namespaces="")], 1), ([pods(namespace="lost")], 0), (None, 0)):
        assert len(told(lost, policy("x/p", egress=[rule(peers, ["lost/TCP"])], directions=EGRESS))) == count


def test_the_labels_of_the_pod_with_the_port_decide_not_those_of_its_neighbours() -> None:
    crowd = [pod(f"x/{n}", f"10.0.3.{n}", labels=f"app=many n=n{n % 3}", ports="many=1/TCP") for n in range(9)]
    for chosen, count in (("app=many,n=n2", 0), ("app=many,n=n3", 0), ("app=web,n=n2", 0), ("app=web", 1), ("!n", 1)):
        assert len(told(*crowd, ingress(chosen, "many/TCP"))) == count


def test_policies_are_told_of_in_the_order_of_their_names() -> None:
    names = ["x/c", "x/a", "x/b"]
    found = told(*(policy(name, ingress=[rule(ports=["none/TCP", "never/TCP"])]) for name in names))
    assert [line.partition(":")[0].split()[1] for line in found] == ["x/a", "x/a", "x/b", "x/b", "x/c", "x/c"]
