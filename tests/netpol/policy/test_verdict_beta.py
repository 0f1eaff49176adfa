"""Section 1.1: annotations and beta policies."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from builders import EGRESS, beta, block, namespace, node, pod, pods, policy, rule, world
from questions import ask, egress, ingress

from netpol.model.policies import Policy, PolicyRule, Semantics
from netpol.model.snapshot import Snapshot
from netpol.policy.judgement import AnnotationReference, PolicyReference, Reason

PODS = (
    pod("x/a", "10.0.0.1", labels="app=a", ports="web=80/TCP web=80/UDP", node="n1"),
    pod("x/b", "10.0.0.2", labels="app=b", ports="web=8080/TCP", node="n1"),
    pod("x/host", "192.168.0.2", labels="app=b", node="n2", host_network=True),
    pod("y/c", "10.0.1.3", labels="app=c", node="n2"),
)
NODES = (node("n1", "192.168.0.1"), node("n2", "192.168.0.2"))


def annotated(*policies: Policy) -> Snapshot:
    return world(namespace("x", deny=True), namespace("y", "team=y"), *PODS, *NODES, *policies)


def one(rules: Sequence[PolicyRule], selected: str = "") -> Snapshot:
    return annotated(beta("x/p", selected, ingress=rules))


def test_b1_the_annotation_alone_isolates_for_ingress() -> None:
    decision = ingress(annotated(), "y/c", "x/a")
    assert not decision.allowed
    assert decision.isolating == (AnnotationReference("x"),)
    assert decision.nearest_miss is None


def test_b3_without_the_annotation_beta_policies_have_no_effect() -> None:
    snapshot = world(namespace("x"), namespace("y"), *PODS, beta("x/p", ingress=[rule([pods("app=none")])]))
    assert ingress(snapshot, "y/c", "x/a").reason is Reason.NOT_ISOLATED


def test_b3_the_annotation_governs_only_pods_in_its_namespace() -> None:
    assert ask(annotated(), "x/a", "y/c").allowed


def test_b3_egress_is_never_restricted() -> None:
    stray = policy("x/p", egress=[], directions=EGRESS, semantics=Semantics.ANNOTATION)
    assert egress(annotated(stray), "x/a", "y/c").reason is Reason.NOT_ISOLATED


def test_b4_the_pods_own_node_gets_in() -> None:
    assert ingress(annotated(), "node/n1", "x/a").reason is Reason.OWN_NODE
    assert not ask(annotated(), "node/n2", "x/a").allowed


def test_b4_a_pod_that_no_policy_selects_receives_nothing() -> None:
    snapshot = one([rule()], "app=b")
    assert ask(snapshot, "y/c", "x/b").allowed
    assert not ask(snapshot, "y/c", "x/a").allowed


def test_b5_only_pods_of_the_policys_namespace_are_selected() -> None:
    snapshot = world(namespace("x", deny=True), namespace("y", deny=True), *PODS, beta("x/p", ingress=[rule()]))
    assert ask(snapshot, "y/c", "x/a").allowed
    assert not ask(snapshot, "x/a", "y/c").allowed


def test_b6_no_rules_contribute_nothing_and_do_not_isolate() -> None:
    assert not ask(one([]), "y/c", "x/a").allowed
    snapshot = world(namespace("x"), *PODS, beta("x/p", ingress=[]))
    assert ask(snapshot, "y/c", "x/a").allowed


def test_b6_the_empty_rule_allows_everything() -> None:
    snapshot = one([rule()])
    assert ingress(snapshot, "8.8.8.8", "x/a", "9/SCTP").policies == (PolicyReference("NetworkPolicy", "x", "p", 0),)
    assert ask(snapshot, "node/n2", "x/a", "ICMP").allowed


@pytest.mark.parametrize(("source", "port"), [("x/b", "81/TCP"), ("y/c", "80/TCP"), ("y/c", "81/TCP")])
def test_b7_both_parts_must_match(source: str, port: str) -> None:
    snapshot = one([rule([pods("app=b")], ["80/TCP"])])
    assert ask(snapshot, "x/b", "x/a", "80/TCP").allowed
    assert not ask(snapshot, source, "x/a", port).allowed


def test_b7_parts_of_two_rules_do_not_combine() -> None:
    snapshot = one([rule([pods("app=b")], ["81/TCP"]), rule([pods("app=none")], ["80/TCP"])])
    assert not ask(snapshot, "x/b", "x/a", "80/TCP").allowed


@pytest.mark.parametrize(
    ("given", "allowed"),
    [(rule(), True), (rule(peers=[]), False), (rule(ports=[]), False), (rule(peers=[], ports=["80/TCP"]), False)],
)
def test_b7_absent_matches_all_and_empty_matches_nothing(given: PolicyRule, allowed: bool) -> None:
    assert ask(one([given]), "x/b", "x/a").allowed is allowed


def test_b9_a_port_of_one_protocol_is_not_that_port_of_another() -> None:
    snapshot = one([rule(ports=["80/TCP"])])
    assert ask(snapshot, "y/c", "x/a", "80/TCP").allowed
    assert not ask(snapshot, "y/c", "x/a", "80/UDP").allowed
    assert not ask(snapshot, "y/c", "x/a", "80/SCTP").allowed


def test_b9_an_absent_port_is_every_port_of_the_protocol() -> None:
    snapshot = one([rule(ports=["*/TCP"])])
    assert ask(snapshot, "y/c", "x/a", "1/TCP").allowed
    assert ask(snapshot, "y/c", "x/a", "65535/TCP").allowed
    assert not ask(snapshot, "y/c", "x/a", "80/UDP").allowed


def test_b9_a_name_is_what_each_destination_says_it_is() -> None:
    snapshot = one([rule(ports=["web/TCP"])])
    assert ask(snapshot, "y/c", "x/a", "80/TCP").allowed
    assert not ask(snapshot, "y/c", "x/a", "8080/TCP").allowed
    assert ask(snapshot, "y/c", "x/b", "8080/TCP").allowed
    assert not ask(snapshot, "y/c", "x/b", "80/TCP").allowed


def test_b9_a_name_matches_with_its_protocol_only() -> None:
    snapshot = one([rule(ports=["web/UDP"])])
    assert ask(snapshot, "y/c", "x/a", "80/UDP").allowed
    assert not ask(snapshot, "y/c", "x/a", "80/TCP").allowed
    assert not ask(snapshot, "y/c", "x/b", "8080/UDP").allowed


def test_b9_a_name_that_the_destination_lacks_matches_nothing() -> None:
    assert not ask(one([rule(ports=["admin/TCP"])]), "y/c", "x/a").allowed


def test_b11_a_pod_selector_means_pods_of_the_policys_namespace() -> None:
    snapshot = one([rule([pods()])])
    assert ask(snapshot, "x/b", "x/a").allowed
    assert not ask(snapshot, "y/c", "x/a").allowed


def test_b11_a_namespace_selector_means_all_pods_of_matching_namespaces() -> None:
    snapshot = one([rule([pods(namespaces="team=y")])])
    assert ask(snapshot, "y/c", "x/a").allowed
    assert not ask(snapshot, "x/b", "x/a").allowed
    assert ask(one([rule([pods(namespaces="")])]), "x/b", "x/a").allowed


@pytest.mark.parametrize("source", ["node/n2", "x/host", "8.8.8.8"])
def test_b11_selectors_cover_no_nodes_no_host_network_and_no_outsiders(source: str) -> None:
    assert not ask(one([rule([pods(), pods(namespaces="")])]), source, "x/a").allowed
    assert ask(one([rule()]), source, "x/a").allowed


def test_b12_policies_add_up() -> None:
    snapshot = annotated(
        beta("x/one", ingress=[rule(ports=["80/TCP"])]), beta("x/two", "app=a", ingress=[rule(ports=["81/TCP"])])
    )
    assert ask(snapshot, "y/c", "x/a", "80/TCP").allowed
    assert ask(snapshot, "y/c", "x/a", "81/TCP").allowed
    assert not ask(snapshot, "y/c", "x/a", "82/TCP").allowed
    assert not ask(snapshot, "y/c", "x/b", "81/TCP").allowed


def test_a_block_in_a_beta_policy_counts_as_the_decoder_left_it() -> None:
    """B13 is settled where objects are decoded; what reaches the oracle counts."""
    assert ask(one([rule([block("8.8.8.0/24")])]), "8.8.8.8", "x/a").allowed
