"""Both families: a rule for one leaves the other shut, and IPv6 keeps its link layer (G4, G10)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from builders import BOTH, block, namespace, pod, pods, policy, rule
from cluster import ONE, TWO, Cluster

from netpol.lab.topology import Wiring
from netpol.model.networks import Family
from netpol.settings import Variant

pytestmark = pytest.mark.kernel

IPV4, IPV6 = Family.IPV4, Family.IPV6

DUAL = pod("x/dual", "10.1.0.10", "fd01::10", labels="app=web", node="one")
FOUR = pod("x/four", "10.1.0.11", labels="app=web", node="one")
SIX = pod("x/six", "fd01::12", labels="app=web", node="one")
REVERSED = pod("x/reversed", "fd02::13", "10.2.0.13", labels="app=web", node="two")
CALLER = pod("x/caller", "10.1.0.14", "fd01::14", labels="app=caller", node="one")
FAR_CALLER = pod("x/far-caller", "10.2.0.15", "fd02::15", labels="app=caller", node="two")
WORLD = (ONE, TWO, namespace("x"), DUAL, FOUR, SIX, REVERSED, CALLER, FAR_CALLER)


@pytest.fixture(scope="module", params=list(Variant), ids=lambda variant: variant.value)
def families(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, namespaces: None
) -> Iterator[Cluster]:
    """Pods of one family, of the other, and of both in either order."""
    with Cluster(tmp_path_factory.mktemp("manifests"), WORLD, variant=request.param) as built:
        yield built


def test_a_block_of_one_family_shuts_the_other(families: Cluster) -> None:
    families.enforce(policy("x/four-only", "app=web", ingress=[rule(peers=[block("0.0.0.0/0")])]))
    table = families.probe("80/TCP", "ICMP")
    for port in ("80/TCP", "ICMP"):
        assert table.reaching("x/dual", port, IPV6) == table.reaching("x/six", port, IPV6) == set()
        assert {"x/caller", "x/far-caller", "outside/client"} < table.reaching("x/dual", port, IPV4)
        assert table.reaching("x/reversed", port, IPV6) == set()
        assert {"x/caller", "x/far-caller"} < table.reaching("x/reversed", port, IPV4)


def test_a_pod_is_isolated_and_is_a_peer_at_all_its_addresses(families: Cluster) -> None:
    families.enforce(policy("x/callers", "app=web", ingress=[rule(peers=[pods("app=caller")])]))
    table = families.probe("80/TCP")
    callers = {"x/caller", "x/far-caller"}
    assert table.reaching("x/dual") == table.reaching("x/reversed") == callers
    assert table.reaching("x/four", "80/TCP", IPV4) == table.reaching("x/six", "80/TCP", IPV6) == callers


@pytest.mark.parametrize("switch", ["--enable-ipv4=false", "--enable-ipv6=false"])
def test_a_family_that_is_switched_off_is_not_written(families: Cluster, switch: str) -> None:
    families.write(policy("x/deny", "app=web"))
    for node in ("one", "two"):
        assert families.netpol(node, "cleanup").returncode == 0
    families.run(switch)
    off, on = (IPV4, IPV6) if "ipv4" in switch else (IPV6, IPV4)
    assert families.reaches("outside/client", "x/dual", family=off)
    assert not families.reaches("outside/client", "x/dual", family=on)
    families.run()
    assert families.probe("80/TCP", destinations=["x/dual"]).reaching("x/dual") == set()


def test_isolated_pods_find_their_neighbours_afresh(families: Cluster) -> None:
    cut_off = policy("x/cut-off", "app=web", directions=BOTH, ingress=[rule(peers=[pods("app=caller")])])
    families.enforce(cut_off)
    forget_neighbours(families)
    table = families.probe("80/TCP", families=[IPV6])
    assert table.reaching("x/six", "80/TCP", IPV6) == {"x/caller", "x/far-caller"}
    assert table.reached_from("x/six", "80/TCP", IPV6) == set()


def test_neighbours_on_one_bridge_find_each_other_through_the_firewall(
    tmp_path_factory: pytest.TempPathFactory, namespaces: None
) -> None:
    """With bridge-nf-call-ip6tables, the solicitation one pod sends to another passes FORWARD itself."""
    world = (ONE, namespace("x"), DUAL, SIX, CALLER)
    directory = tmp_path_factory.mktemp("manifests")
    with Cluster(directory, world, wiring=Wiring.BRIDGED) as bridged:
        bridged.enforce(
            policy("x/web", "app=web", ingress=[rule(peers=[pods("app=caller")], ports=["80/TCP"])], directions=BOTH)
        )
        forget_neighbours(bridged)
        table = bridged.probe("80/TCP", "81/TCP", families=[IPV6])
    assert table.reaching("x/six", "80/TCP", IPV6) == {"x/caller"}
    assert table.reaching("x/six", "81/TCP", IPV6) == set()
    assert table.reached_from("x/six", "80/TCP", IPV6) == set()


def forget_neighbours(cluster: Cluster) -> None:
    """Every machine has to ask anew who has an address."""
    for name in (*cluster.lab.pods, *(f"node/{node}" for node in cluster.lab.nodes)):
        flushed = cluster.lab.namespace(name).run(["ip", "neigh", "flush", "all"])
        assert flushed.returncode == 0, flushed.stderr
