"""The rules common to every mode (G), the modes together (M), and the corners (X)."""

from __future__ import annotations

import pytest
from builders import BOTH, EGRESS, INGRESS, address, beta, block, namespace, node, pod, pods, policy, rule, world
from questions import ask, egress, ingress

from netpol.model.policies import Direction
from netpol.model.ports import OtherProtocol, Protocol
from netpol.policy.judgement import (
    AnnotationReference,
    Connection,
    Decision,
    ExternalEnd,
    NodeEnd,
    PodEnd,
    PolicyReference,
    Reason,
)
from netpol.policy.verdict import Detail, NetworkPolicyTier, Oracle, Question, no_common_family

A = pod("x/a", "10.0.0.1", labels="app=a", node="n1")
B = pod("x/b", "10.0.0.2", labels="app=b", node="n1")
C = pod("y/c", "10.0.1.3", labels="app=c", node="n2")
N1 = node("n1", "192.168.0.1", "fd00::1")
N2 = node("n2", "192.168.0.2")
CLUSTER = (namespace("x"), namespace("y", "team=y"), A, B, C, N1, N2)


def test_an_open_cluster_allows_everything() -> None:
    verdict = ask(world(*CLUSTER), "x/a", "y/c")
    assert verdict.allowed
    assert verdict.egress == Decision(Direction.EGRESS, allowed=True, reason=Reason.NOT_ISOLATED)
    assert verdict.ingress == Decision(Direction.INGRESS, allowed=True, reason=Reason.NOT_ISOLATED)


@pytest.mark.parametrize(("egress_open", "ingress_open"), [(True, True), (True, False), (False, True), (False, False)])
def test_g1_both_sides_are_judged_whatever_the_other_says(egress_open: bool, ingress_open: bool) -> None:
    verdict = ask(
        world(
            *CLUSTER,
            policy(
                "x/out", "app=a", egress=[rule([pods("", namespaces="")])] if egress_open else [], directions=EGRESS
            ),
            policy("y/in", ingress=[rule()] if ingress_open else []),
        ),
        "x/a",
        "y/c",
    )
    assert verdict.egress.allowed is egress_open
    assert verdict.ingress.allowed is ingress_open
    assert verdict.allowed is (egress_open and ingress_open)
    assert verdict.egress.isolating == (PolicyReference("NetworkPolicy", "x", "out"),)
    assert verdict.ingress.isolating == (PolicyReference("NetworkPolicy", "y", "in"),)


@pytest.mark.parametrize("outsider", ["8.8.8.8", "node/n2", "192.168.0.2"])
def test_g1_an_end_that_is_no_pod_is_not_judged(outsider: str) -> None:
    closed = world(*CLUSTER, policy("x/closed", directions=BOTH))
    assert egress(closed, outsider, "x/a").reason is Reason.NOT_A_POD
    assert egress(closed, outsider, "x/a").allowed
    assert not ingress(closed, outsider, "x/a").allowed
    assert ingress(closed, "x/a", outsider).reason is Reason.NOT_A_POD
    assert ingress(closed, "x/a", outsider).allowed
    assert not egress(closed, "x/a", outsider).allowed


def test_g3_an_address_of_a_finished_pod_is_outside_the_cluster() -> None:
    job = pod("x/job", "10.0.0.9", finished=True)
    snapshot = world(*CLUSTER, job, policy("x/pods-only", "app=a", ingress=[rule([pods("", namespaces="")])]))
    assert Oracle(snapshot).end_at(address("10.0.0.9")) == ExternalEnd(address("10.0.0.9"))
    assert not ingress(snapshot, "10.0.0.9", "x/a").allowed


def test_g4_each_family_is_judged_by_its_own_addresses() -> None:
    dual = pod("x/dual", "10.0.0.5", "fd00::5")
    snapshot = world(*CLUSTER, dual, policy("x/four", ingress=[rule([block("0.0.0.0/0")])]))
    assert ask(snapshot, "8.8.8.8", "x/dual").allowed
    assert not ask(snapshot, "2001:db8::8", "x/dual").allowed


@pytest.mark.parametrize("source", ["node/n1", "192.168.0.1"])
def test_g8_the_own_node_always_reaches_its_pods(source: str) -> None:
    closed = world(*CLUSTER, policy("x/closed", directions=BOTH))
    assert ingress(closed, source, "x/a") == Decision(Direction.INGRESS, allowed=True, reason=Reason.OWN_NODE)


def test_g8_every_address_of_the_own_node_counts() -> None:
    closed = world(*CLUSTER, pod("x/six", "fd00::16", node="n1"), policy("x/closed"))
    assert ingress(closed, "fd00::1", "x/six").reason is Reason.OWN_NODE


def test_g8_another_node_is_judged_by_the_policies() -> None:
    closed = world(*CLUSTER, policy("x/closed", directions=BOTH))
    assert ingress(closed, "node/n2", "x/a").reason is Reason.IMPLICIT_ISOLATION


def test_g8_a_pod_to_its_own_node_is_ordinary_egress() -> None:
    closed = world(*CLUSTER, policy("x/closed", directions=BOTH))
    assert egress(closed, "x/a", "node/n1").reason is Reason.IMPLICIT_ISOLATION
    assert not ask(closed, "x/a", "node/n1").allowed


def test_g9_a_pod_reaches_itself() -> None:
    verdict = ask(world(*CLUSTER, policy("x/closed", directions=BOTH)), "x/a", "x/a")
    assert verdict.allowed
    assert verdict.egress.reason is Reason.OWN_ADDRESS
    assert verdict.ingress.reason is Reason.OWN_ADDRESS


def test_g9_an_equal_copy_of_a_pod_is_the_same_pod() -> None:
    snapshot = world(*CLUSTER, policy("x/closed", directions=BOTH))
    one, other = (PodEnd(pod("x/a", "10.0.0.1", labels="app=a", node="n1"), A.addresses[0]) for _ in range(2))
    assert Oracle(snapshot).judge(Connection(one, other, Protocol.TCP, 80)).egress.reason is Reason.OWN_ADDRESS


def test_g10_a_rule_without_ports_allows_every_protocol() -> None:
    snapshot = world(*CLUSTER, policy("x/any", ingress=[rule()]))
    assert all(ask(snapshot, "y/c", "x/a", port).allowed for port in ("80/TCP", "53/UDP", "9/SCTP", "ICMP"))


def test_g10_icmp_needs_a_rule_without_ports() -> None:
    every_port = [rule(ports=["*/TCP", "*/UDP", "*/SCTP"])]
    snapshot = world(*CLUSTER, policy("x/ports", ingress=every_port))
    assert not ask(snapshot, "y/c", "x/a", "ICMP").allowed


def test_m1_m4_the_rules_of_both_apis_add_up_in_an_annotated_namespace() -> None:
    snapshot = world(
        namespace("x", deny=True),
        *CLUSTER[1:],
        beta("x/old", ingress=[rule(ports=["80/TCP"])]),
        policy("x/new", ingress=[rule(ports=["81/TCP"])]),
    )
    annotation, isolating = AnnotationReference("x"), PolicyReference("NetworkPolicy", "x", "new")
    for port, name in (("80/TCP", "old"), ("81/TCP", "new")):
        assert ingress(snapshot, "y/c", "x/a", port) == Decision(
            Direction.INGRESS,
            allowed=True,
            reason=Reason.RULE,
            policies=(PolicyReference("NetworkPolicy", "x", name, 0),),
            isolating=(annotation, isolating),
        )
    assert not ask(snapshot, "y/c", "x/a", "82/TCP").allowed


def test_m4_beta_policies_do_not_count_beside_v1_policies_without_the_annotation() -> None:
    snapshot = world(*CLUSTER, beta("x/old", ingress=[rule()]), policy("x/new", ingress=[rule(ports=["81/TCP"])]))
    decision = ingress(snapshot, "y/c", "x/a")
    assert not decision.allowed
    assert decision.isolating == (PolicyReference("NetworkPolicy", "x", "new"),)


def test_m4_a_v1_policy_counts_in_an_annotated_namespace_where_no_beta_policy_selects() -> None:
    snapshot = world(namespace("x", deny=True), *CLUSTER[1:], policy("x/new", "app=a", ingress=[rule()]))
    assert ask(snapshot, "y/c", "x/a").allowed
    assert not ask(snapshot, "y/c", "x/b").allowed


def test_m7_parts_that_were_not_understood_allow_nothing_and_still_isolate() -> None:
    snapshot = world(*CLUSTER, policy("x/odd", ingress=[rule(peers=[]), rule(ports=[]), rule(peers=[], ports=[])]))
    assert ingress(snapshot, "y/c", "x/a").reason is Reason.IMPLICIT_ISOLATION


def test_every_rule_that_allows_is_named_in_a_stable_order() -> None:
    snapshot = world(
        *CLUSTER,
        policy("x/q", ingress=[rule(ports=["80/TCP"])]),
        policy("x/p", ingress=[rule(ports=["81/TCP"]), rule(), rule(peers=[pods("", namespaces="")])]),
    )
    assert ingress(snapshot, "y/c", "x/a").policies == (
        PolicyReference("NetworkPolicy", "x", "p", 1),
        PolicyReference("NetworkPolicy", "x", "p", 2),
        PolicyReference("NetworkPolicy", "x", "q", 0),
    )


def test_x1_the_newer_holder_of_an_address_is_judged_as_source_and_as_destination() -> None:
    old = pod("x/old", "10.0.0.7", labels="app=old", created="2024-01-01T00:00:00Z")
    new = pod("y/new", "10.0.0.7", labels="app=new", created="2024-01-02T00:00:00Z")
    snapshot = world(
        *CLUSTER,
        old,
        new,
        policy("x/closed", "app=old", directions=BOTH),
        policy("x/from-new", "app=a", ingress=[rule([pods("app=new", namespaces="")])]),
    )
    assert ask(snapshot, "y/c", "x/old").allowed
    assert ask(snapshot, "x/old", "x/a").allowed
    assert Oracle(snapshot).end_at(address("10.0.0.7")) == PodEnd(new, address("10.0.0.7"))


def test_x1_an_outsider_with_a_pods_address_is_that_pod() -> None:
    snapshot = world(*CLUSTER, policy("x/closed", directions=BOTH))
    connection = Connection(ExternalEnd(A.addresses[0]), ExternalEnd(C.addresses[0]), Protocol.TCP, 80)
    assert Oracle(snapshot).judge(connection).egress.reason is Reason.IMPLICIT_ISOLATION


def test_x2_a_pod_of_an_unknown_namespace_matches_no_namespace_selector() -> None:
    stray = pod("lost/p", "10.0.9.9")
    snapshot = world(
        *CLUSTER,
        stray,
        policy("x/any-namespace", "app=a", ingress=[rule([pods("", namespaces="")])]),
        policy("x/by-name", "app=b", ingress=[rule([pods("", namespaces="!team")])]),
    )
    assert ask(snapshot, "y/c", "x/a").allowed
    assert not ask(snapshot, "lost/p", "x/a").allowed
    assert not ask(snapshot, "lost/p", "x/b").allowed


def test_x2_the_policies_of_an_unknown_namespace_still_hold() -> None:
    snapshot = world(
        *CLUSTER,
        pod("lost/p", "10.0.9.9"),
        pod("lost/q", "10.0.9.8"),
        policy("lost/own", ingress=[rule([pods()])]),
        beta("lost/old", ingress=[rule()]),
    )
    assert not ask(snapshot, "y/c", "lost/p").allowed
    assert ask(snapshot, "lost/q", "lost/p").allowed


def test_c4_a_tier_falls_through_for_the_direction_it_does_not_isolate() -> None:
    tier = NetworkPolicyTier(world(*CLUSTER, policy("x/out", egress=[rule()], directions=EGRESS)))
    connection = Connection(PodEnd(C, C.addresses[0]), PodEnd(A, A.addresses[0]), Protocol.TCP, 80)
    assert tier.decide(Question(Direction.INGRESS, A, connection.source, connection, Detail.FULL)) is None
    decided = tier.decide(Question(Direction.EGRESS, A, connection.source, connection, Detail.FULL))
    assert decided is not None
    assert decided.allowed


def test_the_nearest_miss_is_worked_out_only_on_request() -> None:
    snapshot = world(*CLUSTER, policy("x/web", ingress=[rule(ports=["81/TCP"])]))
    oracle = Oracle(snapshot)
    connection = Connection(PodEnd(C, C.addresses[0]), PodEnd(A, A.addresses[0]), Protocol.TCP, 80)
    assert oracle.judge(connection).ingress.nearest_miss is None
    assert oracle.judge(connection, Detail.FULL).ingress.nearest_miss is not None
    assert not oracle.judge(connection).allowed


def test_one_side_can_be_asked_alone() -> None:
    """X1 for both ends, as where both sides are asked."""
    younger = pod("y/younger", "10.0.1.3", labels="app=d", created="2024-05-01T10:00:00.000000Z")
    snapshot = world(*CLUSTER, younger, policy("x/web", ingress=[rule([pods("app=d", namespaces="team=y")])]))
    oracle = Oracle(snapshot)
    connection = Connection(PodEnd(C, C.addresses[0]), PodEnd(A, A.addresses[0]), Protocol.TCP, 80)
    both = oracle.judge(connection, Detail.FULL)
    assert oracle.decide(Direction.EGRESS, connection, Detail.FULL) == both.egress
    assert oracle.decide(Direction.INGRESS, connection, Detail.FULL) == both.ingress
    assert both.ingress.policies == (PolicyReference("NetworkPolicy", "x", "web", 0),)


def test_g10_a_protocol_that_no_policy_can_name_needs_a_rule_without_ports() -> None:
    connection = Connection(PodEnd(C, C.addresses[0]), PodEnd(A, A.addresses[0]), OtherProtocol(47), None)
    closed, open_ = (Oracle(world(*CLUSTER, policy("x/p", ingress=[rule(ports=p)]))) for p in (["*/TCP"], None))
    assert not closed.judge(connection).allowed
    assert open_.judge(connection).allowed


def test_a_node_without_known_addresses_lies_in_no_block() -> None:
    snapshot = world(*CLUSTER, node("n3"), policy("x/out", egress=[rule([block("0.0.0.0/0")])]))
    assert not egress(snapshot, "x/a", "node/n3").allowed
    assert egress(snapshot, "x/a", "node/n2").allowed


def test_no_common_family_refuses_at_the_ends_that_are_pods() -> None:
    four, six, outside = PodEnd(A, A.addresses[0]), PodEnd(B, address("fd00::2")), ExternalEnd(address("2001:db8::1"))
    verdict = no_common_family(Connection(four, six, Protocol.TCP, 80))
    assert [verdict.egress.allowed, verdict.ingress.allowed] == [False, False]
    assert {verdict.egress.reason, verdict.ingress.reason} == {Reason.NO_COMMON_FAMILY}
    verdict = no_common_family(Connection(outside, four, Protocol.TCP, 80))
    assert (verdict.egress.reason, verdict.egress.allowed) == (Reason.NOT_A_POD, True)
    assert (verdict.ingress.reason, verdict.ingress.allowed) == (Reason.NO_COMMON_FAMILY, False)
    assert no_common_family(Connection(NodeEnd(N2, None), outside, Protocol.TCP, 80)).allowed


def test_a_policy_of_another_namespace_does_not_apply() -> None:
    assert ask(world(*CLUSTER, policy("y/closed", directions=BOTH)), "x/a", "x/b").allowed


def test_a_policy_isolates_only_what_it_selects_and_only_for_its_directions() -> None:
    snapshot = world(*CLUSTER, policy("x/closed", "app=a", directions=INGRESS))
    assert not ask(snapshot, "x/b", "x/a").allowed
    assert ask(snapshot, "x/a", "x/b").allowed


def test_v1_m4_what_isolates_a_pod_is_told_also_of_one_that_has_no_address() -> None:
    fresh = pod("x/fresh", labels="app=a", node="n1")
    policies = (policy("x/p", "app=a", directions=BOTH), policy("x/q"), policy("x/r", "app=b"), policy("y/p"))
    oracle = Oracle(world(namespace("x", deny=True), fresh, *policies, beta("x/s", "app=a")))
    p, q = (PolicyReference("NetworkPolicy", "x", name) for name in "pq")
    assert oracle.isolating(fresh, Direction.INGRESS) == (AnnotationReference("x"), p, q)
    assert oracle.isolating(fresh, Direction.EGRESS) == (p,)


def test_m4_no_beta_policy_isolates() -> None:
    oracle = Oracle(world(*CLUSTER, beta("x/p")))
    assert oracle.isolating(A, Direction.INGRESS) == ()
