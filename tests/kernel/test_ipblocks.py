"""Blocks of addresses, with holes and without, of either family, inside the cluster and outside (V5)."""

from __future__ import annotations

import pytest
from builders import EGRESS, block, pods, policy, rule
from cluster import EVERYBODY, Cluster

from netpol.model.networks import Family, IPBlock

pytestmark = pytest.mark.kernel


@pytest.fixture
def cluster(mixed_cluster: Cluster) -> Cluster:
    return mixed_cluster


IPV4, IPV6 = Family.IPV4, Family.IPV6
INSIDE = EVERYBODY - {"outside/client", "outside/server"}


@pytest.mark.parametrize(
    ("blocks", "reaching4", "reaching6"),
    [
        ([block("203.0.113.0/24")], {"outside/client"}, set()),
        ([block("2001:db8:9::/48")], set(), {"outside/client"}),
        ([block("203.0.113.0/24"), block("2001:db8:9::/48")], {"outside/client"}, {"outside/client"}),
        ([block("203.0.113.77/24")], {"outside/client"}, set()),
        ([block("10.1.0.11/32"), block("fd02::10/128")], {"x/api"}, {"x/far"}),
        ([block("10.0.0.0/8", "10.2.0.0/16")], {"x/api", "y/job"}, set()),
        ([block("fd00::/8", "fd02::/64")], set(), {"x/api", "y/job"}),
        ([block("10.0.0.0/8", "10.2.0.0/16"), block("10.2.0.11/32")], {"x/api", "y/job", "y/other"}, set()),
        ([block("10.0.0.0/8", "10.1.0.0/24", "10.2.0.10/32")], {"y/other"}, set()),
        (
            [block("10.0.0.0/8", "10.2.0.0/16"), block("10.2.0.0/16", "10.2.0.11/32")],
            {"x/api", "y/job", "x/far"},
            set(),
        ),
        ([block("0.0.0.0/0")], EVERYBODY - {"x/web"}, set()),
        ([block("::/0")], set(), EVERYBODY - {"x/web"}),
        ([block("0.0.0.0/0", "10.0.0.0/8"), block("::/0", "fd00::/8")], EVERYBODY - INSIDE, EVERYBODY - INSIDE),
        ([block("0.0.0.0/0", "0.0.0.0/1")], EVERYBODY - INSIDE, set()),
        (
            [block("0.0.0.0/0", "128.0.0.0/1"), block("::/0", "8000::/1")],
            INSIDE - {"x/web"},
            {"outside/client", "outside/server"},
        ),
        ([block("::/0", "::/1", "fd01::/64")], set(), {"x/far", "y/other"}),
        ([block("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1")], set(), set()),
    ],
    ids=str,
)
def test_ingress_from_blocks(cluster: Cluster, blocks: list[IPBlock], reaching4: set[str], reaching6: set[str]) -> None:
    cluster.enforce(policy("x/blocks", "app=web", ingress=[rule(peers=blocks)]))
    table = cluster.probe("80/TCP", destinations=["x/web"])
    assert table.reaching("x/web", "80/TCP", IPV4) == reaching4
    assert table.reaching("x/web", "80/TCP", IPV6) == reaching6


@pytest.mark.parametrize(
    ("blocks", "reached4", "reached6"),
    [
        ([block("198.51.100.0/24"), block("2001:db8:7::7/128")], {"outside/server"}, {"outside/server"}),
        ([block("0.0.0.0/0", "198.51.100.0/24")], EVERYBODY - {"outside/server", "x/web"}, set()),
        ([block("10.2.0.10/32")], {"x/far"}, set()),
        ([block("::/0", "2001:db8::/32")], set(), INSIDE - {"x/web"}),
    ],
    ids=str,
)
def test_egress_to_blocks(cluster: Cluster, blocks: list[IPBlock], reached4: set[str], reached6: set[str]) -> None:
    cluster.enforce(policy("x/blocks", "app=web", egress=[rule(peers=blocks)], directions=EGRESS))
    table = cluster.probe("80/TCP", sources=["x/web"])
    assert table.reached_from("x/web", "80/TCP", IPV4) == reached4
    assert table.reached_from("x/web", "80/TCP", IPV6) == reached6


def test_a_hole_stops_neither_another_rule_nor_another_policy(cluster: Cluster) -> None:
    carved = block("10.0.0.0/8", "10.1.0.0/16")
    cluster.enforce(
        policy("x/carved", "app=web", ingress=[rule(peers=[carved]), rule(peers=[pods("app=api")], ports=["80/TCP"])]),
        policy("x/jobs", ingress=[rule(peers=[pods("app=job", namespaces="")], ports=["81/TCP"])]),
    )
    table = cluster.probe("80/TCP", "81/TCP", destinations=["x/web"], families=[IPV4])
    assert table.reaching("x/web", "80/TCP", IPV4) == {"x/far", "y/other", "x/api"}
    assert table.reaching("x/web", "81/TCP", IPV4) == {"x/far", "y/other", "y/job"}


def test_the_ports_of_a_rule_bind_its_blocks(cluster: Cluster) -> None:
    wide, narrow = block("0.0.0.0/0"), block("203.0.113.9/32")
    cluster.enforce(
        policy(
            "x/wide", "app=web", ingress=[rule(peers=[wide], ports=["80/TCP"]), rule(peers=[narrow], ports=["81/TCP"])]
        )
    )
    table = cluster.probe("80/TCP", "81/TCP", "ICMP", destinations=["x/web"], families=[IPV4])
    assert table.reaching("x/web", "80/TCP", IPV4) == EVERYBODY - {"x/web"}
    assert table.reaching("x/web", "81/TCP", IPV4) == {"outside/client"}
    assert table.reaching("x/web", "ICMP", IPV4) == set()


def test_names_of_ports_in_a_block_are_those_of_pods(cluster: Cluster) -> None:
    """No host outside has a name for a port (V7)."""
    named = rule(peers=[block("0.0.0.0/0", "10.1.0.11/32")], ports=["http/TCP"])
    cluster.enforce(policy("y/out", "app=job", egress=[named], directions=EGRESS))
    table = cluster.probe("80/TCP", "81/TCP", "8080/TCP", sources=["y/job"])
    assert table.reached_from("y/job", "80/TCP", IPV4) == {"x/web"}
    assert table.reached_from("y/job", "81/TCP", IPV4) == {"x/far"}
    assert table.reached_from("y/job", "8080/TCP", IPV4) == set()
    assert all(table.reached_from("y/job", port, IPV6) == set() for port in ("80/TCP", "81/TCP", "8080/TCP"))
