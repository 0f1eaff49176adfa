"""Policies of extensions/v1beta1 under the annotation: ports, names of ports, peers, and how they add up (B4-B14)."""

from __future__ import annotations

import pytest
from builders import beta, namespace, pods, rule
from cluster import EVERYBODY, Cluster
from world_manifests import Manifest

from netpol.model.policies import Policy

pytestmark = pytest.mark.kernel


@pytest.fixture
def cluster(mixed_cluster: Cluster) -> Cluster:
    return mixed_cluster


ISOLATED_X = namespace("x", "team=red", deny=True)


def enforce(cluster: Cluster, *policies: Policy) -> None:
    """Namespace x is isolated, and has these policies."""
    cluster.enforce(ISOLATED_X, *policies)


def test_a_policy_without_rules_opens_nothing(cluster: Cluster) -> None:
    enforce(cluster, beta("x/none"))
    assert cluster.probe("80/TCP").reaching("x/web") == set()


def test_an_empty_rule_opens_everything_to_the_pods_selected(cluster: Cluster) -> None:
    enforce(cluster, beta("x/all", "app=web", ingress=[rule()]))
    table = cluster.probe("80/TCP", "53/UDP", "80/SCTP", "ICMP")
    for port in ("80/TCP", "53/UDP", "80/SCTP", "ICMP"):
        assert table.reaching("x/web", port) == EVERYBODY - {"x/web"}
        assert table.reaching("x/far", port) == EVERYBODY - {"x/far"}
        assert table.reaching("x/api", port) == set()


def test_a_port_entry_without_a_port_is_all_of_tcp_and_nothing_else(cluster: Cluster) -> None:
    enforce(cluster, beta("x/tcp", "app=web", ingress=[rule(ports=["*/TCP"])]))
    table = cluster.probe("80/TCP", "65535/TCP", "53/UDP", "80/SCTP", "ICMP")
    assert table.reaching("x/web", "80/TCP") == table.reaching("x/web", "65535/TCP") == EVERYBODY - {"x/web"}
    for port in ("53/UDP", "80/SCTP", "ICMP"):
        assert table.reaching("x/web", port) == set()


def test_a_ports_number_and_protocol_both_count(cluster: Cluster) -> None:
    enforce(cluster, beta("x/dns", "app=web", ingress=[rule(ports=["53/UDP", "81/TCP"])]))
    table = cluster.probe("53/UDP", "53/TCP", "81/UDP", "81/TCP", "80/TCP")
    assert table.reaching("x/web", "53/UDP") == table.reaching("x/web", "81/TCP") == EVERYBODY - {"x/web"}
    for port in ("53/TCP", "81/UDP", "80/TCP"):
        assert table.reaching("x/web", port) == set()


def test_a_ports_name_is_each_pods_own(cluster: Cluster) -> None:
    enforce(
        cluster,
        beta("x/http", ingress=[rule(ports=["http/TCP"])]),
        beta("x/no-such", ingress=[rule(ports=["nine/TCP"])]),
    )
    table = cluster.probe("80/TCP", "81/TCP", "8080/TCP", "80/UDP")
    opened = {"x/web": "80/TCP", "x/far": "81/TCP", "x/api": "8080/TCP"}
    for name, number in opened.items():
        for port in ("80/TCP", "81/TCP", "8080/TCP", "80/UDP"):
            assert table.reaching(name, port) == (EVERYBODY - {name} if port == number else set())


def test_a_name_counts_for_its_own_protocol_only(cluster: Cluster) -> None:
    enforce(cluster, beta("x/dns", "app=web", ingress=[rule(ports=["dns/TCP", "http/UDP"])]))
    table = cluster.probe("53/TCP", "53/UDP", "80/TCP", "80/UDP")
    assert all(table.reaching("x/web", port) == set() for port in ("53/TCP", "53/UDP", "80/TCP", "80/UDP"))


def test_a_peer_by_pods_means_pods_of_the_policys_namespace(cluster: Cluster) -> None:
    enforce(cluster, beta("x/front", "app=web", ingress=[rule(peers=[pods("tier=front")])]))
    table = cluster.probe("80/TCP", "ICMP")
    assert table.reaching("x/web") == table.reaching("x/web", "ICMP") == {"x/api", "x/far"}


def test_a_peer_by_namespaces_means_all_pods_in_them(cluster: Cluster) -> None:
    enforce(cluster, beta("x/blue", "app=web", ingress=[rule(peers=[pods(namespaces="team=blue")])]))
    assert cluster.probe("80/TCP").reaching("x/web") == {"y/job", "y/other"}


def test_all_namespaces_are_still_no_node_and_nobody_outside(cluster: Cluster) -> None:
    enforce(cluster, beta("x/cluster", "app=web", ingress=[rule(peers=[pods(namespaces="")])]))
    table = cluster.probe("80/TCP", sources=[*EVERYBODY, "node/two"])
    assert table.reaching("x/web") == {"x/api", "x/far", "y/job", "y/other"}


def test_an_empty_list_matches_nothing(cluster: Cluster) -> None:
    enforce(cluster, beta("x/nobody", ingress=[rule(peers=[]), rule(ports=[])]))
    assert cluster.probe("80/TCP").reaching("x/web") == set()


def test_stacked_policies_add_up(cluster: Cluster) -> None:
    enforce(
        cluster,
        beta("x/api-80", "app=web", ingress=[rule(peers=[pods("app=api")], ports=["80/TCP"])]),
        beta("x/front-81", "tier=front", ingress=[rule(peers=[pods("")], ports=["81/TCP"])]),
        beta("x/blue-80", ingress=[rule(peers=[pods(namespaces="team=blue")], ports=["80/TCP"])]),
    )
    table = cluster.probe("80/TCP", "81/TCP")
    assert table.reaching("x/web") == {"x/api", "y/job", "y/other"}
    assert table.reaching("x/web", "81/TCP") == set()
    assert table.reaching("x/far") == {"x/api", "y/job", "y/other"}
    assert table.reaching("x/far", "81/TCP") == {"x/web", "x/api"}
    assert table.reaching("x/api") == {"y/job", "y/other"}


def test_a_peer_with_both_selectors_or_none_matches_nothing(cluster: Cluster) -> None:
    peers = [{"podSelector": {}, "namespaceSelector": {}}, {}, {"ipBlock": {"cidr": "0.0.0.0/0"}}]
    cluster.enforce(ISOLATED_X, raw=[guestbook_policy("x", "odd", {"from": peers})])
    assert cluster.probe("80/TCP").reaching("x/web") == set()


def test_a_null_from_restricts_nothing(cluster: Cluster) -> None:
    """The guestbook policy of the time, as an API server prints it."""
    rule = {"from": None, "ports": [{"port": 80, "protocol": "TCP"}]}
    cluster.enforce(ISOLATED_X, raw=[guestbook_policy("x", "web-allow", rule)])
    table = cluster.probe("80/TCP", "81/TCP", sources=[*EVERYBODY, "node/two"])
    assert table.reaching("x/web") == EVERYBODY - {"x/web"} | {"node/two"}
    assert table.reaching("x/web", "81/TCP") == table.reaching("x/api") == set()


def test_spec_fields_of_later_releases_are_ignored(cluster: Cluster) -> None:
    manifest = {
        "apiVersion": "extensions/v1beta1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": "x", "name": "later"},
        "spec": {"podSelector": None, "policyTypes": ["Egress"], "egress": [], "ingress": [{"ports": [{"port": 80}]}]},
    }
    cluster.enforce(ISOLATED_X, raw=[manifest])
    table = cluster.probe("80/TCP")
    assert table.reaching("x/web") == EVERYBODY - {"x/web"}
    assert table.reached_from("x/web") == EVERYBODY - {"x/web"}


def guestbook_policy(place: str, name: str, rule: Manifest) -> Manifest:
    """A policy for the web pods, with this rule as it stands."""
    return {
        "apiVersion": "extensions/v1beta1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": place, "name": name},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [rule]},
    }
