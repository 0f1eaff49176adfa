"""An address of the node's pod range that no known pod has is shut out, until it is known (G12)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from builders import node, pod
from cluster import EVERYBODY, FAR, OTHER, Cluster, protocol_and_port

from netpol.lab.flows import Flow, Speaker
from netpol.lab.listeners import Place
from netpol.lab.prober import Outcome, Patience, Probe, probe
from netpol.lab.topology import Endpoint
from netpol.model.networks import Family, parse_address

pytestmark = pytest.mark.kernel

STRANGER = pod("x/stranger", "10.1.0.77", "fd01::77", node="one")
PLACES = ("80/TCP", "53/UDP", "ICMP")
PATIENCE = Patience(silent=0.25, retry=0.1)


@pytest.fixture(autouse=True)
def _stranger(cluster: Cluster) -> Iterator[None]:
    """A pod runs that no manifest tells of."""
    cluster.lab.plug(STRANGER)
    yield
    cluster.lab.unplug(str(STRANGER))


def outcomes_of_stranger(cluster: Cluster, hoped: Outcome) -> set[Outcome]:
    """What became of every probe to and from the stranger, on every port and of either family."""
    pairs = [pair for name in EVERYBODY for pair in (("x/stranger", name), (name, "x/stranger"))]
    asked = [
        Probe(cluster.lab.endpoint(source, family), cluster.place(destination, port, family))
        for source, destination in pairs
        for port in PLACES
        for family in Family
    ]
    expected = asked if hoped is Outcome.REACHED else []
    return set(probe(asked, expected=expected, patience=PATIENCE).values())


def assert_open(cluster: Cluster) -> None:
    assert outcomes_of_stranger(cluster, Outcome.REACHED) == {Outcome.REACHED}


def assert_shut_out(cluster: Cluster) -> None:
    assert outcomes_of_stranger(cluster, Outcome.SILENT) == {Outcome.SILENT}


def test_it_is_shut_out_both_ways_until_a_run_knows_it(cluster: Cluster) -> None:
    cluster.enforce()
    assert_shut_out(cluster)
    assert not cluster.reaches("x/stranger", "node/one")
    assert cluster.probe("80/TCP", sources=["x/web"], destinations=EVERYBODY).reached_from("x/web") == EVERYBODY - {
        "x/web"
    }
    cluster.enforce(STRANGER)
    assert_open(cluster)


def test_a_pod_that_is_gone_is_unknown_again(cluster: Cluster) -> None:
    cluster.enforce(STRANGER)
    assert_open(cluster)
    cluster.enforce(pod("x/stranger", "10.1.0.77", "fd01::77", node="one", finished=True))
    assert_shut_out(cluster)


def test_what_a_pod_had_open_goes_with_it(cluster: Cluster) -> None:
    """Whoever gets its address next inherits no connection; the node's own are spared (G8)."""
    cluster.enforce(STRANGER)
    with (
        Flow(cluster.lab.endpoint("x/stranger"), cluster.place("x/far")) as outward,
        Flow(cluster.lab.endpoint("outside/client"), cluster.place("x/stranger")) as inward,
        Flow(cluster.lab.endpoint("node/one"), cluster.place("x/stranger", "81/TCP")) as from_the_node,
    ):
        cluster.enforce()
        assert not any(flow.passes(speaker, 0.3) for flow in (outward, inward) for speaker in Speaker)
        assert all(map(from_the_node.passes, Speaker))


def test_failing_open_lets_it_pass(cluster: Cluster) -> None:
    cluster.enforce(flags=["--fail-open"])
    assert_open(cluster)


@pytest.mark.parametrize(
    ("flags", "shut"), [((), False), (("--pod-cidr", "10.1.0.0/24", "--pod-cidr=fd01::/64"), True)]
)
def test_the_flag_names_the_range_where_the_node_object_does_not(
    cluster: Cluster, flags: tuple[str, ...], shut: bool
) -> None:
    cluster.write(node("one", "192.168.50.1", "fd50::1"))
    answer = cluster.run_on("one", *flags)
    assert answer.returncode == 0, answer.stderr
    (assert_shut_out if shut else assert_open)(cluster)


def test_the_nodes_own_addresses_in_the_range_are_no_strangers(cluster: Cluster) -> None:
    cluster.enforce()
    machine = cluster.lab.namespace("node/one")
    asked: list[Probe] = []
    for family, gateway in ((Family.IPV4, "10.1.0.1"), (Family.IPV6, "fd01::1")):
        own = Endpoint("node/one", machine, parse_address(gateway))
        place = Place(own, *protocol_and_port("22/TCP"))
        asked += [Probe(own, cluster.place(name, "80/TCP", family)) for name in ("x/web", "y/job")]
        asked += [Probe(cluster.lab.endpoint(name, family), place) for name in ("x/web", "x/far", "outside/client")]
    # Hosts on the wire know no way to a gateway's address but through its node.
    for name in ("node/two", "outside/client"):
        for address, hop in (("10.1.0.1", "192.168.50.1"), ("fd01::1", "fd50::1")):
            cluster.lab.namespace(name).run(["ip", "route", "replace", address, "via", hop])
    outcomes = probe(asked, expected=asked)
    assert {str(question): outcome for question, outcome in outcomes.items() if outcome is not Outcome.REACHED} == {}


def test_the_node_itself_reaches_a_pod_that_is_not_known_yet(cluster: Cluster) -> None:
    """A kubelet probes a pod before everybody has heard of it (G8)."""
    cluster.enforce()
    for family in Family:
        assert cluster.reaches("node/one", "x/stranger", family=family)


def test_a_range_of_another_node_is_that_nodes_business(cluster: Cluster) -> None:
    """Of pods elsewhere this node knows nothing by their ranges: they may be known there and not here."""
    gone = [pod(str(each), *map(str, each.addresses), node="two", finished=True) for each in (FAR, OTHER)]
    cluster.write(*gone)
    answer = cluster.run_on("one")
    assert answer.returncode == 0, answer.stderr
    assert cluster.reaches("x/far", "x/web")
    assert cluster.reaches("x/web", "x/far")
