"""Section 1.2: policies that isolate by themselves."""

from __future__ import annotations

import pytest
from builders import BOTH, EGRESS, INGRESS, block, namespace, node, pod, pods, policy, rule, world
from questions import ask, egress, ingress

from netpol.model.objects import Pod
from netpol.model.policies import Peer, Policy
from netpol.model.snapshot import Snapshot
from netpol.policy.judgement import PolicyReference, Reason

PODS = (
    pod("x/a", "10.0.0.1", "fd00::1", labels="app=a tier=front", ports="web=80/TCP", node="n1"),
    pod("x/b", "10.0.0.2", "fd00::2", labels="app=b tier=back", ports="web=8080/TCP web=8081/TCP", node="n1"),
    pod("y/c", "10.0.1.3", "fd00::3", labels="app=c tier=front", node="n2"),
    pod("x/host", "192.168.0.2", labels="app=a", ports="web=80/TCP", node="n2", host_network=True),
)
NODES = (node("n1", "192.168.0.1"), node("n2", "192.168.0.2"))


def having(*more: Pod | Policy) -> Snapshot:
    return world(namespace("x", "team=x"), namespace("y", "team=y env=prod"), *PODS, *NODES, *more)


def sending(peers: list[Peer] | None = None, ports: list[str] | None = None) -> Snapshot:
    return having(policy("x/p", egress=[rule(peers, ports)], directions=EGRESS))


def receiving(peers: list[Peer] | None = None, ports: list[str] | None = None) -> Snapshot:
    return having(policy("x/p", ingress=[rule(peers, ports)]))


def test_v1_a_pod_is_isolated_only_by_policies_that_select_it() -> None:
    snapshot = having(policy("x/p", "app=a", directions=BOTH))
    assert ingress(snapshot, "y/c", "x/a").isolating == (PolicyReference("NetworkPolicy", "x", "p"),)
    assert egress(snapshot, "x/a", "y/c").reason is Reason.IMPLICIT_ISOLATION
    assert ask(snapshot, "y/c", "x/b").allowed


def test_v1_the_rules_of_all_applying_policies_add_up() -> None:
    snapshot = having(policy("x/closed"), policy("x/some", "app=a", ingress=[rule(ports=["80/TCP"])]))
    decision = ingress(snapshot, "y/c", "x/a")
    assert decision.policies == (PolicyReference("NetworkPolicy", "x", "some", 0),)
    assert [reference.name for reference in decision.isolating if isinstance(reference, PolicyReference)] == [
        "closed",
        "some",
    ]
    assert not ask(snapshot, "y/c", "x/b").allowed


def test_v2_rules_for_a_direction_that_is_not_among_the_types_are_inert() -> None:
    inert_egress = having(policy("x/p", egress=[rule([pods("app=none")])], directions=INGRESS))
    assert egress(inert_egress, "x/a", "y/c").reason is Reason.NOT_ISOLATED
    inert_ingress = having(policy("x/p", ingress=[rule([pods("app=none")])], directions=EGRESS))
    assert ingress(inert_ingress, "y/c", "x/a").reason is Reason.NOT_ISOLATED


def test_v2_inert_rules_do_not_allow_what_another_policy_isolates() -> None:
    snapshot = having(policy("x/closed"), policy("x/p", ingress=[rule()], directions=EGRESS))
    assert not ask(snapshot, "y/c", "x/a").allowed


def test_v2_isolation_for_egress_leaves_ingress_open() -> None:
    snapshot = having(policy("x/p", directions=EGRESS))
    assert ask(snapshot, "y/c", "x/a").allowed
    assert not ask(snapshot, "x/a", "y/c").allowed


@pytest.mark.parametrize(
    ("peer", "matching"),
    [
        (pods("app=b"), {"x/b"}),
        (pods("tier=front"), {"x/a"}),
        (pods(namespaces="team=y"), {"y/c"}),
        (pods("tier=front", namespaces=""), {"x/a", "y/c"}),
        (pods("tier=front", namespaces="env"), {"y/c"}),
        (pods("app in (a,b)", namespaces="team notin (y)"), {"x/a", "x/b"}),
        (pods("!app", namespaces=""), set()),
        (pods("tier", namespaces="kubernetes.io/metadata.name=x"), {"x/a", "x/b"}),
        (block("10.0.0.0/24"), {"x/a", "x/b"}),
        (block("10.0.0.0/8", "10.0.0.2/32"), {"x/a", "y/c"}),
    ],
    ids=str,
)
def test_v4_each_kind_of_peer_names_the_same_pods_in_both_directions(peer: Peer, matching: set[str]) -> None:
    everyone = having(
        pod("x/target", "10.0.0.9"), policy("x/in", "!app", ingress=[rule([peer])], egress=[rule([peer])])
    )
    names = ("x/a", "x/b", "y/c")
    assert {name for name in names if ingress(everyone, name, "x/target").allowed} == matching
    assert {name for name in names if egress(everyone, "x/target", name).allowed} == matching


def test_v4_two_peers_are_either_one() -> None:
    snapshot = receiving([pods("app=none"), pods(namespaces="team=y")])
    assert ask(snapshot, "y/c", "x/a").allowed


def test_v5_an_exception_only_carves_its_own_block() -> None:
    assert not ask(receiving([block("8.8.0.0/16", "8.8.8.0/24")]), "8.8.8.8", "x/a").allowed
    both = receiving([block("8.8.0.0/16", "8.8.8.0/24"), block("8.8.8.8/32")])
    assert ask(both, "8.8.8.8", "x/a").allowed


def test_v5_a_block_concerns_only_its_family() -> None:
    snapshot = receiving([block("::/0")])
    assert ask(snapshot, "2001:db8::1", "x/a").allowed
    assert not ask(snapshot, "8.8.8.8", "x/a").allowed


@pytest.mark.parametrize(("port", "allowed"), [(7999, False), (8000, True), (8050, True), (8100, True), (8101, False)])
def test_v6_the_end_port_is_included(port: int, allowed: bool) -> None:
    assert ask(receiving(ports=["8000-8100/TCP"]), "y/c", "x/a", f"{port}/TCP").allowed is allowed


def test_v7_a_named_egress_port_means_that_name_on_any_pod() -> None:
    snapshot = sending(ports=["web/TCP"])
    assert egress(snapshot, "x/a", "x/b", "8080/TCP").allowed
    assert egress(snapshot, "x/a", "x/b", "8081/TCP").allowed
    assert not egress(snapshot, "x/a", "x/b", "80/TCP").allowed, "the source's own number does not count"
    assert not egress(snapshot, "x/b", "x/a", "8080/TCP").allowed


@pytest.mark.parametrize("destination", ["8.8.8.8", "node/n2", "x/host", "y/c"])
def test_v7_a_named_egress_port_matches_nothing_without_that_name(destination: str) -> None:
    assert not egress(sending(ports=["web/TCP"]), "x/a", destination).allowed


def test_v7_a_block_and_a_name_need_a_pod_in_the_block_with_that_name() -> None:
    snapshot = sending([block("10.0.0.0/24"), block("8.8.8.8/32")], ["web/TCP"])
    assert egress(snapshot, "x/a", "x/b", "8080/TCP").allowed
    assert not egress(snapshot, "x/a", "8.8.8.8", "8080/TCP").allowed
    assert not egress(sending([block("10.9.0.0/24")], ["web/TCP"]), "x/a", "x/b", "8080/TCP").allowed


def test_v7_names_in_ingress_rules_resolve_on_the_pod_itself() -> None:
    snapshot = receiving(ports=["web/TCP"])
    assert ingress(snapshot, "8.8.8.8", "x/b", "8080/TCP").allowed
    assert not ingress(snapshot, "x/a", "x/b", "80/TCP").allowed


@pytest.mark.parametrize("only", ["80/SCTP", "80/UDP", "*/SCTP"])
def test_v8_a_rule_of_another_protocol_isolates_for_tcp(only: str) -> None:
    assert not ask(receiving(ports=[only]), "y/c", "x/a", "80/TCP").allowed


def test_v9_a_host_network_pod_is_never_a_subject() -> None:
    snapshot = having(policy("x/closed", directions=BOTH))
    assert ask(snapshot, "y/c", "x/host").ingress.reason is Reason.NOT_A_POD
    assert ask(snapshot, "x/host", "y/c").allowed


def test_v9_a_host_network_pod_is_its_node_as_a_peer() -> None:
    assert not ask(receiving([pods("app=a")]), "x/host", "x/a").allowed
    assert ask(receiving([block("192.168.0.2/32")]), "x/host", "x/a").allowed
    assert ingress(having(policy("x/closed")), "node/n1", "x/a").reason is Reason.OWN_NODE
