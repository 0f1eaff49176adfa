"""All reach all in a lab, and a rule in a node's FORWARD silences exactly what passes it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from builders import address, node, pod
from private_network import missing

from netpol.lab.lab import Lab
from netpol.lab.listeners import Place
from netpol.lab.namespace import LabError, Namespace
from netpol.lab.prober import Outcome, Probe, probe
from netpol.lab.topology import Outside, Wiring
from netpol.model.networks import Family
from netpol.model.ports import Protocol

NODES = [
    node("one", "192.168.1.1", "fd99::1", pod_cidrs=["10.1.0.0/24", "fd01::/64"]),
    node("two", pod_cidrs=["10.2.0.0/24", "fd02::/64"]),
]
PODS = [
    pod("x/a", "10.1.0.10", "fd01::10", node="one"),
    pod("x/b", "10.1.0.11", "fd01::11", node="one"),
    pod("x/far", "10.2.0.10", "fd02::10", node="two"),
    pod("x/host", node="two", host_network=True),
    pod("x/done", "10.1.0.99", node="one", finished=True),
    pod("x/pending", node="one"),
]
OUTSIDE = [Outside("client", (address("203.0.113.9"), address("2001:db8::9")))]
PODS_AND_OUTSIDE = ["x/a", "x/b", "x/far", "outside/client"]
EVERYBODY = [*PODS_AND_OUTSIDE, "node/one", "node/two"]
PORTS = [(Protocol.TCP, 80), (Protocol.UDP, 53), (Protocol.SCTP, 132), (Protocol.ICMP, None)]


@pytest.fixture(params=list(Wiring), ids=lambda wiring: wiring.value)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with Lab(NODES, PODS, OUTSIDE, request.param) as built:
        yield built


def questions(lab: Lab, names: list[str], family: Family) -> dict[Probe, tuple[str, str]]:
    """Every ordered pair of `names` on every port, and the pair each is about."""
    return {
        Probe(lab.endpoint(source, family), Place(lab.endpoint(destination, family), *port)): (source, destination)
        for source in names
        for destination in names
        if source != destination
        for port in PORTS
    }


@pytest.mark.kernel
@pytest.mark.parametrize("family", list(Family), ids=lambda family: family.name)
def test_all_reach_all(lab: Lab, family: Family) -> None:
    asked = questions(lab, EVERYBODY, family)
    outcomes = probe(asked, expected=asked)
    assert {str(question): outcome for question, outcome in outcomes.items() if outcome is not Outcome.REACHED} == {}
    assert len(outcomes) == len(EVERYBODY) * (len(EVERYBODY) - 1) * len(PORTS)


@pytest.mark.kernel
@pytest.mark.parametrize(("family", "tool"), [(Family.IPV4, "iptables"), (Family.IPV6, "ip6tables")])
def test_a_drop_in_forward_silences_exactly_what_passes_it(lab: Lab, family: Family, tool: str) -> None:
    there = lab.namespace("node/one")
    target = str(lab.endpoint("x/b", family).address)
    refused = there.run([tool, "-I", "FORWARD", "-d", target, "-j", "DROP"])
    if refused.returncode != 0:
        missing(f"{tool} does not work here: {refused.stderr}")
    asked = questions(lab, EVERYBODY, family)
    # Nothing that passes the hook gets to b, neither an opening packet nor an answer. What the node itself says to b
    # passes OUTPUT instead; b's answers to the node, INPUT.
    expected = {
        question: Outcome.SILENT if "x/b" in pair and "node/one" not in pair else Outcome.REACHED
        for question, pair in asked.items()
    }
    hopeful = {question for question, outcome in expected.items() if outcome is Outcome.REACHED}
    assert probe(asked, expected=hopeful) == expected


@pytest.mark.kernel
def test_a_host_network_pod_is_its_node(lab: Lab) -> None:
    assert lab.namespace("x/host") is lab.namespace("node/two")
    assert lab.addresses("x/host") == lab.nodes["two"].addresses == (address("172.31.255.2"), address("fd31:255::2"))


@pytest.mark.kernel
def test_only_pods_with_addresses_that_run_are_plugged_in(lab: Lab) -> None:
    assert list(lab.pods) == ["x/a", "x/b", "x/far", "x/host"]
    with pytest.raises(LabError, match="the lab has no x/done"):
        lab.namespace("x/done")


@pytest.mark.kernel
def test_pods_come_and_go(lab: Lab) -> None:
    def reached(name: str) -> Outcome:
        question = Probe(lab.endpoint("outside/client"), Place(lab.endpoint(name), Protocol.TCP, 80))
        return probe([question], expected=[question])[question]

    lab.unplug("x/b")
    lab.plug(pod("x/new", "10.1.0.11", node="one"))
    assert reached("x/new") is Outcome.REACHED
    lab.unplug("x/host")
    assert list(lab.pods) == ["x/a", "x/far", "x/new"]
    with pytest.raises(LabError, match="x/new is plugged in already"):
        lab.plug(pod("x/new", "10.1.0.12", node="one"))


@pytest.mark.kernel
def test_a_pod_has_all_its_addresses(lab: Lab) -> None:
    lab.plug(pod("x/many", "10.2.0.20", "172.16.5.5", "fd02::20", node="two"))
    asked = [
        Probe(lab.endpoint("x/a", family), Place(end, protocol, 80))
        for end in lab.endpoints("x/many")
        for protocol in (Protocol.TCP, Protocol.UDP)
        for family in [Family(end.address.version)]
    ]
    assert len(asked) == 6
    assert set(probe(asked, expected=asked).values()) == {Outcome.REACHED}


@pytest.mark.kernel
def test_what_the_lab_cannot_build_is_said(lab: Lab) -> None:
    with pytest.raises(LabError, match="pod x/lost is on a node that the lab does not have: 'nowhere'"):
        lab.plug(pod("x/lost", "10.9.0.1", node="nowhere"))
    with (
        pytest.raises(LabError, match="outside/client has no IPv4 address"),
        Lab([], outside=[Outside("client", (address("fd00::1"),))]) as other,
    ):
        other.endpoint("outside/client")


@pytest.mark.kernel
def test_two_pods_cannot_have_one_address(lab: Lab) -> None:
    with pytest.raises(LabError, match=r"x/double and x/b both have 10\.1\.0\.11: a lab has no room for both"):
        lab.plug(pod("x/double", "10.1.0.11", "fd01::77", node="two"))
    assert "x/double" not in lab.pods


@pytest.mark.kernel
def test_no_link_appears_where_the_test_runs() -> None:
    with Namespace("here") as here, here.entered():
        with Lab(NODES, PODS, OUTSIDE):
            links = here.run(["ip", "-o", "link"]).stdout.splitlines()
        assert [line.split(":")[1].strip() for line in links] == ["lo"]
