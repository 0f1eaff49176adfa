"""What is suggested of a log, and what it is not suggested for."""

from __future__ import annotations

from typing import Any

import pytest
from audit_records import party, refusal
from builders import BOTH, EGRESS, beta, namespace, node, pod, policy, world

from netpol.audit.record import Action, Cause, ExternalParty, NodeParty, PodParty, Record
from netpol.model.objects import Namespace, Node, Pod
from netpol.model.policies import Direction, Policy, Semantics
from netpol.model.snapshot import Snapshot
from netpol.policy.judgement import PodEnd
from netpol.suggest.needs import Tally
from netpol.suggest.proof import Unproved
from netpol.suggest.suggestions import Breadth, Suggestions, suggest

WEB = [
    pod(
        f"shop/web-{number}",
        f"10.0.0.{number}",
        labels=f"app=web pod-template-hash={number}",
        workload="Deployment/web",
    )
    for number in (1, 2)
]
DB = pod("shop/db-0", "10.0.0.9", labels="app=db", workload="StatefulSet/db")
CLIENT = pod("ops/client", "10.0.1.1", labels="app=client", workload="Deployment/client")
NODE = node("n1", "192.0.2.1")


def shop(*policies: Policy) -> Snapshot:
    """The pods of two namespaces under these policies."""
    return world(namespace("shop"), namespace("ops"), *WEB, DB, CLIENT, NODE, *policies)


def of(pod: Pod) -> PodParty:
    described = party(PodEnd(pod, pod.addresses[0]))
    assert isinstance(described, PodParty)
    return described


def document(suggestions: Suggestions) -> Any:
    """The only object."""
    [suggestion] = suggestions.suggested
    return suggestion.document


def reasons(suggestions: Suggestions) -> list[str]:
    return [line.partition(": ")[2] for line in suggestions.left_out]


CLOSED = policy("shop/closed", directions=BOTH)


def test_a_rule_for_the_workload_and_nothing_else() -> None:
    spec = document(suggest([refusal(of(WEB[0]), of(CLIENT), 8080)], shop(CLOSED)))["spec"]
    assert spec == {
        "podSelector": {"matchLabels": {"app": "web"}},
        "policyTypes": ["Ingress"],
        "ingress": [
            {
                "from": [
                    {
                        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ops"}},
                        "podSelector": {"matchLabels": {"app": "client"}},
                    }
                ],
                "ports": [{"protocol": "TCP", "port": 8080}],
            }
        ],
    }


def test_a_peer_of_the_same_namespace_needs_no_namespace_selector() -> None:
    spec = document(suggest([refusal(of(DB), of(WEB[1]), direction=Direction.EGRESS)], shop(CLOSED)))["spec"]
    assert spec["egress"][0]["to"] == [{"podSelector": {"matchLabels": {"app": "web"}}}]


def test_one_policy_for_each_workload_and_direction() -> None:
    records = [
        refusal(of(WEB[0]), of(CLIENT)),
        refusal(of(WEB[1]), of(DB)),
        refusal(of(WEB[0]), of(DB), direction=Direction.EGRESS),
        refusal(of(DB), of(WEB[0])),
    ]
    suggested = suggest(records, shop(CLOSED)).suggested
    names = [each.policy.name.rpartition("-")[0] for each in suggested]
    assert names == ["allow-web-egress", "allow-web-ingress", "allow-db-ingress"]


def test_nodes_and_the_outside_are_blocks_of_single_addresses() -> None:
    records = [refusal(of(DB), NodeParty("n1", "192.0.2.1")), refusal(of(DB), ExternalParty("2001:db8::1"))]
    spec = document(suggest(records, shop(CLOSED)))["spec"]
    assert spec["ingress"][0]["from"] == [
        {"ipBlock": {"cidr": "192.0.2.1/32"}},
        {"ipBlock": {"cidr": "2001:db8::1/128"}},
    ]


@pytest.mark.parametrize("breadth", Breadth)
def test_g10_every_port_is_opened_only_where_that_is_asked_for(breadth: Breadth) -> None:
    records = [refusal(of(DB), of(WEB[0]), None, "ICMP"), refusal(of(DB), of(WEB[0]), 5432)]
    suggestions = suggest(records, shop(CLOSED), breadth)
    [rule] = document(suggestions)["spec"]["ingress"]
    if breadth is Breadth.ALL_PORTS:
        assert rule.keys() == {"from"}
        assert reasons(suggestions) == []
    else:
        assert rule["ports"] == [{"protocol": "TCP", "port": 5432}]
        assert reasons(suggestions) == ["only a rule without ports allows this, which opens every port (--all-ports)"]


def test_a_policy_that_would_isolate_a_replica_is_not_suggested() -> None:
    snapshot = shop(policy("shop/first", "pod-template-hash=1", directions=BOTH))
    suggestions = suggest([refusal(of(WEB[0]), of(DB))], snapshot)
    assert suggestions.suggested == ()
    assert reasons(suggestions) == ["a policy for it would isolate shop/web-2 for ingress"]


def test_pods_that_no_labels_name_alone_are_left_out_on_either_side() -> None:
    twin = pod("shop/twin", "10.0.0.7", labels="app=db", workload="Deployment/twin")
    snapshot = world(*shop(CLOSED).pods.values(), namespace("shop"), namespace("ops"), CLOSED, twin)
    for subject, peer in ((DB, WEB[0]), (WEB[0], DB)):
        suggestions = suggest([refusal(of(subject), of(peer))], snapshot)
        assert suggestions.suggested == ()
        assert reasons(suggestions) == ["no labels tell shop/StatefulSet/db from the other pods of its namespace"]


@pytest.mark.parametrize("others", [None, Namespace("ops", {}), namespace("twin", "kubernetes.io/metadata.name=ops")])
def test_g7_a_namespace_that_its_name_label_does_not_name_is_left_out(others: Namespace | None) -> None:
    parts: list[Namespace | Pod | Node | Policy] = [namespace("shop"), *WEB, CLIENT, CLOSED]
    if others is not None:
        parts += [others] if others.name == "ops" else [others, namespace("ops")]
    suggestions = suggest([refusal(of(WEB[0]), of(CLIENT))], world(*parts))
    assert suggestions.suggested == ()
    assert reasons(suggestions) == ["the label kubernetes.io/metadata.name=ops does not name that namespace (G7)"]


def test_reasons_of_the_same_kind_are_added_up() -> None:
    records = [refusal(of(DB), of(CLIENT), None, protocol, count=2) for protocol in ("ICMP", "47")]
    assert list(suggest(records, shop(CLOSED)).left_out.values()) == [Tally(2, 4)]


ANNOTATED = namespace("shop", deny=True)
OLD = beta("shop/old", "app=none")


def of_beta(record: Record, *policies: Policy) -> Suggestions:
    return suggest([record], world(ANNOTATED, namespace("ops"), *WEB, DB, CLIENT, *policies))


def test_m4_where_all_policies_are_of_the_older_api_so_is_the_suggestion() -> None:
    written = document(of_beta(refusal(of(WEB[0]), of(DB)), OLD))
    assert written["apiVersion"] == "extensions/v1beta1"
    assert written["spec"] == {
        "podSelector": {"matchLabels": {"app": "web"}},
        "ingress": [
            {"from": [{"podSelector": {"matchLabels": {"app": "db"}}}], "ports": [{"protocol": "TCP", "port": 80}]}
        ],
    }


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ((), "networking.k8s.io/v1"),
        ((beta("ops/old"),), "extensions/v1beta1"),
        ((policy("ops/new"),), "networking.k8s.io/v1"),
        ((OLD, policy("shop/new")), "networking.k8s.io/v1"),
        ((OLD, policy("ops/new")), "extensions/v1beta1"),
    ],
)
def test_a_namespace_without_policies_is_taken_to_be_as_others_are(policies: tuple[Policy, ...], expected: str) -> None:
    assert document(of_beta(refusal(of(WEB[0]), of(DB)), *policies))["apiVersion"] == expected


@pytest.mark.parametrize(
    ("policies", "expected"), [((), "extensions/v1beta1"), ((policy("ops/new"),), "networking.k8s.io/v1")]
)
def test_a_cluster_without_policies_is_taken_to_be_as_its_server_is(
    policies: tuple[Policy, ...], expected: str
) -> None:
    cluster = world(ANNOTATED, namespace("ops"), *WEB, DB, *policies)
    suggestions = suggest([refusal(of(WEB[0]), of(DB))], cluster, semantics=Semantics.ANNOTATION)
    assert document(suggestions)["apiVersion"] == expected


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (refusal(of(WEB[0]), of(CLIENT)), "names pods of another namespace only all together (B10)"),
        (refusal(of(WEB[0]), ExternalParty("198.51.100.1")), "names no addresses"),
        (refusal(of(WEB[0]), of(DB), protocol="SCTP"), "has no SCTP (B9)"),
    ],
)
def test_b9_b10_what_the_older_api_cannot_say_is_left_out(record: Record, why: str) -> None:
    suggestions = of_beta(record, OLD)
    assert suggestions.suggested == ()
    assert reasons(suggestions) == [f"extensions/v1beta1 {why}"]


def test_egress_is_not_of_the_older_api() -> None:
    closed = policy("shop/out", directions=EGRESS)
    written = document(of_beta(refusal(of(WEB[0]), of(DB), direction=Direction.EGRESS), OLD, closed))
    assert written["apiVersion"] == "networking.k8s.io/v1"


def test_x16_a_dry_run_of_a_policy_is_answered_by_another() -> None:
    """Enforced, it would isolate pods that nothing isolates yet."""
    snapshot = shop(policy("shop/dry", under_audit=True))
    written = document(suggest([refusal(of(WEB[0]), of(DB), action=Action.WOULD_DENY)], snapshot))
    assert written["metadata"]["annotations"] == {"netpol.io/enforcement": "audit"}


def test_x16_where_the_namespace_is_under_audit_a_policy_need_not_be() -> None:
    dry = namespace("shop", under_audit=True)
    snapshot = world(dry, *WEB, DB, policy("shop/closed"))
    written = document(suggest([refusal(of(WEB[0]), of(DB), action=Action.WOULD_DENY)], snapshot))
    assert "annotations" not in written["metadata"]


def test_x16_what_is_refused_in_earnest_is_allowed_in_earnest() -> None:
    snapshot = shop(policy("shop/shut", "app=db"), policy("shop/dry", "app=web", under_audit=True))
    records = [refusal(of(DB), of(WEB[0])), refusal(of(WEB[0]), of(DB), action=Action.WOULD_DENY)]
    annotated = {
        each.policy.name.split("-")[1]: each.policy.enforcement.value for each in suggest(records, snapshot).suggested
    }
    assert annotated == {"db": "enforce", "web": "audit"}


def test_a_name_that_is_taken_is_not_used_again() -> None:
    records = [refusal(of(WEB[0]), of(DB))]
    [first] = suggest(records, shop(CLOSED)).suggested
    idle = policy(str(first.policy), "app=none")
    [second] = suggest(records, shop(CLOSED, idle)).suggested
    assert second.policy.name != first.policy.name
    assert second.policy.ingress == first.policy.ingress


def test_nothing_is_suggested_of_nothing() -> None:
    assert suggest([], shop()) == Suggestions((), {}, Tally(), {})
    unknown = refusal(of(WEB[0]), of(DB), reason=Cause.UNKNOWN_POD)
    assert suggest([unknown], shop(CLOSED)).passed_over == {"unknown-pod": Tally(1, 1)}


def test_an_object_that_would_not_be_understood_is_shown_to_nobody() -> None:
    strange = Namespace("no name", {"kubernetes.io/metadata.name": "no name"})
    client = pod("no name/client", "10.0.1.2", labels="app=client")
    snapshot = world(namespace("shop"), strange, *WEB, client, CLOSED)
    with pytest.raises(Unproved, match="'no name' is no label value"):
        suggest([refusal(of(WEB[0]), of(client))], snapshot)
