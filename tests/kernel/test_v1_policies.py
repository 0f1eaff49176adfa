"""Policies of networking.k8s.io/v1: both directions, every kind of peer and port (V1-V8, V12, G2, G10)."""

from __future__ import annotations

import pytest
from builders import EGRESS, INGRESS, namespace, pod, pods, policy, rule
from cluster import EVERYBODY, Cluster

from netpol.model.networks import Family
from netpol.model.policies import PodPeer, Policy, PolicyRule

pytestmark = pytest.mark.kernel


@pytest.fixture
def cluster(mixed_cluster: Cluster) -> Cluster:
    return mixed_cluster


X_PODS = {"x/web", "x/api", "x/far"}


def test_a_selected_pod_is_isolated_and_others_are_not(cluster: Cluster) -> None:
    cluster.enforce(policy("x/deny", "app=web"))
    table = cluster.probe("80/TCP", "53/UDP", "ICMP")
    for port in ("80/TCP", "53/UDP", "ICMP"):
        assert table.reaching("x/web", port) == table.reaching("x/far", port) == set()
        assert table.reaching("x/api", port) == EVERYBODY - {"x/api"}
        assert table.reached_from("x/web", port) == EVERYBODY - {"x/web", "x/far"}


def test_denying_egress_leaves_ingress_open(cluster: Cluster) -> None:
    cluster.enforce(policy("x/deny", directions=EGRESS))
    table = cluster.probe("80/TCP", "53/UDP", "ICMP")
    for port in ("80/TCP", "53/UDP", "ICMP"):
        assert table.reached_from("x/web", port) == table.reached_from("x/far", port) == set()
        assert table.reaching("x/web", port) == EVERYBODY - X_PODS


def test_denying_both_cuts_a_namespace_off(cluster: Cluster) -> None:
    cluster.enforce(policy("x/deny", directions=INGRESS | EGRESS))
    table = cluster.probe("80/TCP")
    for name in X_PODS:
        assert table.reached_from(name) == table.reaching(name) == set()
    assert table.reaching("y/job") == EVERYBODY - X_PODS - {"y/job"}


def test_allowing_all_wins_over_denying_all(cluster: Cluster) -> None:
    allow = policy("x/allow", "app=web", ingress=[rule()], egress=[rule()])
    cluster.enforce(policy("x/deny", directions=INGRESS | EGRESS), allow)
    table = cluster.probe("80/TCP", "ICMP")
    assert table.reaching("x/web") == table.reaching("x/web", "ICMP") == EVERYBODY - {"x/web", "x/api"}
    assert table.reached_from("x/far") == EVERYBODY - {"x/far", "x/api"}


def test_both_ends_must_agree(cluster: Cluster) -> None:
    """The egress of one side and the ingress of the other, on nodes of their own and on the same (G1)."""
    cluster.enforce(
        policy("y/out", egress=[rule(peers=[pods(namespaces="team=red")], ports=["80-82/TCP"])], directions=EGRESS),
        policy("x/in", "app=web", ingress=[rule(peers=[pods(namespaces="team=blue")], ports=["82-84/TCP"])]),
    )
    table = cluster.probe("80/TCP", "82/TCP", "84/TCP")
    assert table.reached_from("y/job", "80/TCP") == {"x/api"}
    assert table.reached_from("y/job", "82/TCP") == {"x/web", "x/api", "x/far"}
    assert table.reached_from("y/other", "84/TCP") == set()
    assert table.reaching("x/web", "84/TCP") == set()


def test_replies_pass_whatever_the_replying_pod_may_send(cluster: Cluster) -> None:
    """Only the opening packet is judged (G2)."""
    cluster.enforce(policy("x/closed", "app=web", ingress=[rule(ports=["80/TCP"])], directions=INGRESS | EGRESS))
    table = cluster.probe("80/TCP", "81/TCP")
    assert table.reaching("x/web") == EVERYBODY - {"x/web", "x/far"}
    assert table.reached_from("x/web") == table.reaching("x/web", "81/TCP") == set()


@pytest.mark.parametrize(
    ("peers", "reaching"),
    [
        ([pods("tier=front", namespaces="team=blue")], {"y/other"}),
        ([pods("tier=front"), pods(namespaces="team=blue")], {"x/api", "x/far", "y/job", "y/other"}),
        ([pods("tier=front", namespaces="")], {"x/api", "x/far", "y/other"}),
        ([pods("app in (api,job)", namespaces="")], {"x/api", "y/job"}),
        ([pods("app notin (api,job),tier", namespaces="")], {"x/far", "y/other"}),
        ([pods("!tier", namespaces="")], {"y/job"}),
        ([pods(namespaces="kubernetes.io/metadata.name=y")], {"y/job", "y/other"}),
        ([pods(namespaces="team notin (red)")], {"y/job", "y/other"}),
        ([pods("app=nobody")], set()),
    ],
    ids=["and", "or", "every-namespace", "in", "not-in", "not-exists", "by-name", "namespace-not-in", "nobody"],
)
def test_peers(cluster: Cluster, peers: list[PodPeer], reaching: set[str]) -> None:
    cluster.enforce(policy("x/peers", "app=web", ingress=[rule(peers=peers)]))
    assert cluster.probe("80/TCP").reaching("x/web") == reaching


def test_rules_of_a_direction_that_is_not_named_are_inert(cluster: Cluster) -> None:
    cluster.enforce(
        policy("x/in", "app=web", ingress=[rule(ports=["80/TCP"])], egress=[rule(ports=["9/TCP"])], directions=INGRESS),
        policy("y/out", "app=job", ingress=[rule(ports=["9/TCP"])], egress=[rule(ports=["80/TCP"])], directions=EGRESS),
    )
    table = cluster.probe("80/TCP", "81/TCP")
    assert table.reached_from("x/web", "81/TCP") == EVERYBODY - {"x/web", "x/far"}
    assert table.reaching("y/job", "81/TCP") == EVERYBODY - {"y/job"}
    assert table.reached_from("y/job", "81/TCP") == set()


def test_the_types_follow_from_the_rules_where_none_are_named(cluster: Cluster) -> None:
    def untyped(name: str, chosen: str, **rules: object) -> dict[str, object]:
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"namespace": "x", "name": name},
            "spec": {"podSelector": {"matchLabels": {"app": chosen}}, **rules},
        }

    cluster.enforce(raw=[untyped("web", "web", egress=[]), untyped("api", "api", egress=[{"ports": [{"port": 80}]}])])
    table = cluster.probe("80/TCP", "81/TCP")
    assert table.reaching("x/web") == table.reaching("x/api") == set()
    assert table.reached_from("x/web", "81/TCP") == EVERYBODY - X_PODS
    assert table.reached_from("x/api", "80/TCP") == EVERYBODY - X_PODS
    assert table.reached_from("x/api", "81/TCP") == set()


def test_ranges_of_ports_include_both_ends(cluster: Cluster) -> None:
    cluster.enforce(policy("x/range", "app=web", ingress=[rule(ports=["8000-8002/TCP", "9000-9001/UDP"])]))
    outside = EVERYBODY - {"x/web"}
    table = cluster.probe(*(f"{port}/TCP" for port in (7999, 8000, 8002, 8003)), "9001/UDP", "9002/UDP", "9000/TCP")
    assert [table.reaching("x/web", f"{port}/TCP") for port in (8000, 8002)] == [outside, outside]
    assert table.reaching("x/web", "9001/UDP") == outside
    for port in ("7999/TCP", "8003/TCP", "9002/UDP", "9000/TCP"):
        assert table.reaching("x/web", port) == set()


def test_more_ports_than_one_match_can_hold(cluster: Cluster) -> None:
    entries = [f"{port}/TCP" for port in range(1000, 1040, 2)] + ["2000-2010/TCP", "3000-3010/TCP"]
    cluster.enforce(policy("x/many", "app=web", ingress=[rule(peers=[pods("app=api")], ports=entries)]))
    table = cluster.probe(
        "1000/TCP", "1038/TCP", "2005/TCP", "3010/TCP", "1001/TCP", "1040/TCP", families=[Family.IPV4]
    )
    for port in ("1000/TCP", "1038/TCP", "2005/TCP", "3010/TCP"):
        assert table.reaching("x/web", port, Family.IPV4) == {"x/api"}
    for port in ("1001/TCP", "1040/TCP"):
        assert table.reaching("x/web", port, Family.IPV4) == set()


@pytest.mark.parametrize(
    ("egress", "reached"),
    [
        (rule(ports=["http/TCP"]), {"80/TCP": {"x/web"}, "81/TCP": {"x/far"}, "8080/TCP": {"x/api"}}),
        (rule(peers=[pods("app=web")], ports=["http/TCP"]), {"80/TCP": set(), "81/TCP": set(), "8080/TCP": set()}),
        (
            rule(peers=[pods("app=web", namespaces="team=red")], ports=["http/TCP", "dns/UDP"]),
            {"80/TCP": {"x/web"}, "81/TCP": {"x/far"}, "8080/TCP": set(), "53/UDP": {"x/web"}, "53/TCP": set()},
        ),
    ],
    ids=["of-any-pod", "of-own-namespace", "of-chosen-pods"],
)
def test_an_egress_ports_name_is_the_destinations(
    cluster: Cluster, egress: PolicyRule, reached: dict[str, set[str]]
) -> None:
    """It means pods that have the name, and nobody outside (V7)."""
    cluster.enforce(policy("y/out", "app=job", egress=[egress], directions=EGRESS))
    table = cluster.probe(*reached)
    assert {port: table.reached_from("y/job", port) for port in reached} == reached


def test_a_rule_for_another_protocol_still_isolates_for_tcp(cluster: Cluster) -> None:
    cluster.enforce(
        policy("x/sctp", "app=web", ingress=[rule(ports=["80/SCTP"])]),
        policy("x/udp", "app=api", ingress=[rule(ports=["53/UDP"])]),
    )
    table = cluster.probe("80/SCTP", "81/SCTP", "80/TCP", "80/UDP", "53/UDP", "53/TCP", "ICMP")
    assert table.reaching("x/web", "80/SCTP") == EVERYBODY - {"x/web"}
    for port in ("81/SCTP", "80/TCP", "80/UDP", "ICMP"):
        assert table.reaching("x/web", port) == set()
    assert table.reaching("x/api", "53/UDP") == EVERYBODY - {"x/api"}
    for port in ("53/TCP", "80/SCTP", "ICMP"):
        assert table.reaching("x/api", port) == set()


def test_icmp_needs_a_rule_without_ports(cluster: Cluster) -> None:
    cluster.enforce(
        policy("x/in", "app=web", ingress=[rule(peers=[pods("app=api")]), rule(ports=["*/TCP", "*/UDP", "*/SCTP"])])
    )
    table = cluster.probe("ICMP", "7/TCP", "7/UDP", "7/SCTP")
    assert table.reaching("x/web", "ICMP") == {"x/api"}
    for port in ("7/TCP", "7/UDP", "7/SCTP"):
        assert table.reaching("x/web", port) == EVERYBODY - {"x/web"}


def test_what_a_selector_means_follows_labels(cluster: Cluster) -> None:
    """Labels of peers, of subjects and of namespaces (V12)."""
    only_front = policy("x/front", "app=web", ingress=[rule(peers=[pods("tier=front", namespaces="team=red")])])
    cluster.enforce(only_front)
    assert cluster.probe("80/TCP").reaching("x/web") == {"x/api", "x/far"}
    moved = pod("x/api", "10.1.0.11", "fd01::11", labels="app=api tier=back", node="one")
    cluster.enforce(only_front, moved)
    assert cluster.probe("80/TCP").reaching("x/web") == {"x/far"}
    cluster.enforce(only_front, namespace("y", "team=red"))
    assert cluster.probe("80/TCP").reaching("x/web") == {"x/api", "x/far", "y/other"}
    freed = pod("x/web", "10.1.0.10", "fd01::10", labels="app=freed", node="one")
    cluster.enforce(only_front, freed)
    table = cluster.probe("80/TCP")
    assert table.reaching("x/web") == EVERYBODY - {"x/web"}
    assert table.reaching("x/far") == {"x/api"}


def test_a_policy_of_one_namespace_says_nothing_of_another(cluster: Cluster) -> None:
    policies: list[Policy] = [policy("y/deny", "app=web"), policy("y/deny-out", "app=job", directions=EGRESS)]
    cluster.enforce(*policies)
    table = cluster.probe("80/TCP")
    assert table.reaching("x/web") == EVERYBODY - {"x/web", "y/job"}
    assert table.reaching("y/other") == set()
