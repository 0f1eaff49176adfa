"""Nodes: whom they reach, what pods reach of them, and packets a service proxy turned round (G5, G8, G9, X5)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from builders import BOTH, EGRESS, block, pod, pods, policy, rule
from cluster import BASE, Cluster, protocol_and_port

from netpol.lab.listeners import Place
from netpol.lab.prober import Outcome, Patience, Probe, probe
from netpol.lab.topology import Endpoint, Wiring
from netpol.model.networks import Address, Family, parse_address
from netpol.settings import Variant

pytestmark = pytest.mark.kernel

CUT_OFF = policy("x/cut-off", directions=BOTH)
SHORT = Patience(silent=0.25, retry=0.1)
UNSURE = Patience(silent=0.6, retry=0.1)
SERVICE = {Family.IPV4: parse_address("10.96.0.10"), Family.IPV6: parse_address("fd96::10")}
HOST = pod("y/host", node="one", host_network=True)


@pytest.mark.parametrize("family", list(Family), ids=lambda family: family.name)
def test_a_node_reaches_its_own_isolated_pods_from_each_of_its_addresses(cluster: Cluster, family: Family) -> None:
    cluster.enforce(CUT_OFF)
    own = own_addresses(cluster, "one", family)
    assert {"192.168.50.1", "10.1.0.1"} <= own or {"fd50::1", "fd01::1"} <= own
    sources = [Endpoint("node/one", cluster.lab.namespace("node/one"), parse_address(text)) for text in sorted(own)]
    asked = {Probe(source, cluster.place("x/web", port, family)) for source in sources for port in ("80/TCP", "ICMP")}
    outcomes = probe(asked, expected=asked, patience=SHORT)
    assert {str(question): outcome for question, outcome in outcomes.items() if outcome is not Outcome.REACHED} == {}


def test_another_nodes_pods_judge_a_node_like_anybody(cluster: Cluster) -> None:
    from_two = [block("192.168.50.2/32"), block("fd50::2/128")]
    cluster.enforce(policy("x/some", "app=web", ingress=[rule(peers=from_two, ports=["80/TCP"])]))
    table = cluster.probe("80/TCP", "81/TCP", sources=["node/one", "node/two"])
    assert table.reaching("x/web", "80/TCP") == {"node/one", "node/two"}
    assert table.reaching("x/web", "81/TCP") == {"node/one"}
    assert table.reaching("x/far", "80/TCP") == {"node/two"}


def test_what_a_pod_sends_to_its_own_node_is_egress_like_any_other(cluster: Cluster) -> None:
    to_one = [block("192.168.50.1/32"), block("fd50::1/128")]
    cluster.enforce(
        policy("x/some", "app=web", egress=[rule(peers=to_one, ports=["10250/TCP"])], directions=EGRESS),
        policy("x/none", "app=api", directions=EGRESS),
    )
    table = cluster.probe("10250/TCP", "22/TCP", "53/UDP", "ICMP", destinations=["node/one", "node/two"])
    assert table.reached_from("x/web", "10250/TCP") == table.reached_from("x/far", "10250/TCP") == {"node/one"}
    assert table.reached_from("x/web", "22/TCP") == table.reached_from("x/web", "ICMP") == set()
    for port in ("10250/TCP", "22/TCP", "53/UDP", "ICMP"):
        assert table.reached_from("x/api", port) == set()
        assert table.reached_from("y/job", port) == {"node/one", "node/two"}


def test_a_pod_may_not_reach_its_node_at_the_gateway_either(cluster: Cluster) -> None:
    cluster.enforce(policy("x/none", "app=api", directions=EGRESS))
    machine = cluster.lab.namespace("node/one")
    for family, gateway in ((Family.IPV4, "10.1.0.1"), (Family.IPV6, "fd01::1")):
        place = Place(Endpoint("node/one", machine, parse_address(gateway)), *protocol_and_port("22/TCP"))
        asked = {name: Probe(cluster.lab.endpoint(name, family), place) for name in ("x/api", "y/job")}
        outcomes = probe(asked.values(), expected=[asked["y/job"]], patience=SHORT)
        assert outcomes == {asked["x/api"]: Outcome.SILENT, asked["y/job"]: Outcome.REACHED}


def test_a_pod_in_the_nodes_network_is_the_node(cluster: Cluster) -> None:
    """It is no peer and no subject; a block with the node's address is the way to name it (V9)."""
    hosts = pods("", namespaces="team=blue")
    by_address = [block("192.168.50.1/32"), block("fd50::1/128")]
    cluster.lab.plug(HOST)
    try:
        cluster.enforce(
            HOST,
            policy("y/deny", directions=BOTH),
            policy("x/selected", "app=web,!tier", ingress=[rule(peers=[hosts])]),
            policy("x/by-pods", "tier=front", ingress=[rule(peers=[hosts], ports=["80/TCP"])]),
            policy("x/by-address", "tier=front", ingress=[rule(peers=by_address, ports=["81/TCP"])]),
        )
        table = cluster.probe("80/TCP", "81/TCP", sources=["y/host"], destinations=["x/web", "x/far", "outside/server"])
        assert table.reached_from("y/host", "80/TCP") == {"x/web", "outside/server"}
        assert table.reached_from("y/host", "81/TCP") == {"x/web", "x/far", "outside/server"}
    finally:
        cluster.lab.unplug("y/host")


# --- service addresses


@dataclass(frozen=True, slots=True)
class Service:
    """A service address, translated on node one like a proxy does it, to one backend and its own port."""

    cluster: Cluster

    def reached_from(self, source: str, backend: str, family: Family) -> bool:
        """True where `source` gets to the backend's port 8080 by the service's port 80."""
        target = self.cluster.lab.endpoint(backend, family)
        tool = f"{'iptables' if family is Family.IPV4 else 'ip6tables'}-{self.cluster.variant.value}"
        to = f"{target.address}:8080" if family is Family.IPV4 else f"[{target.address}]:8080"
        rule = ["-d", str(SERVICE[family]), "-p", "tcp", "--dport", "80", "-j", "DNAT", "--to-destination", to]
        # A pod that gets back its own packet by its own address would not answer: proxies masquerade those.
        hairpin = ["-s", str(target.address), "-d", str(target.address), "-j", "MASQUERADE"]
        rules = [["PREROUTING", *rule], ["OUTPUT", *rule], ["POSTROUTING", *hairpin]]
        # The node looks for a way to the service's address before it translates it.
        self.cluster.shell("one", "ip", "route", "replace", str(SERVICE[family]), "dev", "eth0")
        for each in rules:
            self.cluster.shell("one", tool, "-t", "nat", "-A", *each)
        try:
            asked = Probe(
                self.cluster.lab.endpoint(source, family),
                Place(Endpoint(backend, target.namespace, SERVICE[family]), *protocol_and_port("80/TCP")),
            )
            behind = self.cluster.place(backend, "8080/TCP", family)
            outcome = probe([asked], listening=[behind], patience=UNSURE)[asked]
            assert outcome in (Outcome.REACHED, Outcome.SILENT)
            return outcome is Outcome.REACHED
        finally:
            for each in rules:
                self.cluster.shell("one", tool, "-t", "nat", "-D", *each)


@pytest.fixture
def service(cluster: Cluster) -> Service:
    return Service(cluster)


@pytest.mark.parametrize("family", list(Family), ids=lambda family: family.name)
def test_a_pod_reaches_itself_through_a_service(cluster: Cluster, service: Service, family: Family) -> None:
    cluster.enforce(CUT_OFF)
    assert service.reached_from("x/web", "x/web", family)
    assert not service.reached_from("x/web", "x/api", family)


def test_a_service_is_judged_by_its_backend_and_the_target_port(cluster: Cluster, service: Service) -> None:
    cluster.enforce(
        policy("x/in", "app=web", ingress=[rule(peers=[pods("app=api")], ports=["8080/TCP"])]),
        policy("x/out", "app=api", egress=[rule(peers=[pods("")], ports=["8080/TCP"])], directions=EGRESS),
    )
    for backend in ("x/web", "x/far"):
        assert service.reached_from("x/api", backend, Family.IPV4)
        assert not service.reached_from("y/job", backend, Family.IPV4)
    assert not service.reached_from("x/api", "y/job", Family.IPV4)
    assert service.reached_from("node/one", "x/web", Family.IPV4)
    assert not service.reached_from("node/one", "x/far", Family.IPV4)


def test_the_services_own_address_and_port_count_for_nothing(cluster: Cluster, service: Service) -> None:
    to_service = rule(peers=[block("10.96.0.0/16")], ports=["80/TCP"])
    cluster.enforce(policy("x/out", "app=api", egress=[to_service], directions=EGRESS))
    assert not service.reached_from("x/api", "y/job", Family.IPV4)
    assert service.reached_from("x/web", "y/job", Family.IPV4)


# --- what a proxy on the node sends on for somebody else


@pytest.mark.parametrize(("source", "passes"), [("x/api", True), ("y/job", False), ("outside/client", False)])
def test_what_leaves_a_node_in_anothers_name_is_judged_as_that_others(
    cluster: Cluster, source: str, passes: bool
) -> None:
    """A proxy such as IPVS sends on from OUTPUT, with the client's address, what it took in at INPUT."""
    cluster.enforce(policy("x/in", "app=web", ingress=[rule(peers=[pods("app=api")], ports=["8080/UDP"])]))
    assert arrives(cluster, cluster.lab.endpoint(source).address, "x/web", 8080) is passes
    assert not arrives(cluster, cluster.lab.endpoint(source).address, "x/web", 8081)


def test_what_leaves_a_node_in_its_own_pods_name_is_that_pods_egress(cluster: Cluster) -> None:
    cluster.enforce(policy("x/out", "app=api", egress=[rule(ports=["53/UDP"])], directions=EGRESS))
    api = cluster.lab.endpoint("x/api").address
    assert arrives(cluster, api, "y/job", 53)
    assert not arrives(cluster, api, "y/job", 54)


def arrives(cluster: Cluster, source: Address, destination: str, port: int) -> bool:
    """True where a datagram that node one sends with the address `source` is received by the pod."""
    target = cluster.lab.endpoint(destination)
    with target.namespace.entered():
        listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with cluster.lab.namespace("node/one").entered():
        sending = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with listening, sending:
        listening.bind((str(target.address), port))
        listening.settimeout(0.4)
        source_port = target.namespace.fresh_source_port()
        try:
            sending.sendto(datagram(source, target.address, source_port, port), (str(target.address), 0))
            return listening.recv(100) == b"?"
        except (TimeoutError, PermissionError):
            return False


def datagram(source: Address, destination: Address, source_port: int, port: int) -> bytes:
    """An IPv4 packet of UDP that says "?"; the kernel fills in the length and checksum of its header."""
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0, source.packed, destination.packed
    )
    return header + struct.pack("!HHHH", source_port, port, 9, 0) + b"?"


def own_addresses(cluster: Cluster, node: str, family: Family) -> set[str]:
    """Every address of the node's links that is not of one link only."""
    printed = cluster.shell(node, "ip", "-o", f"-{family.value}", "address", "show", "scope", "global")
    return {word for line in printed.splitlines() for word in [line.split()[3].partition("/")[0]]}


# --- a bridge


@pytest.fixture(scope="module", params=list(Variant), ids=lambda variant: variant.value)
def bridged(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, namespaces: None
) -> Iterator[Cluster]:
    """The usual cluster, the pods of each node on one bridge."""
    directory = tmp_path_factory.mktemp("manifests")
    with Cluster(directory, BASE, variant=request.param, wiring=Wiring.BRIDGED) as built:
        yield built


def test_pods_on_one_bridge_are_judged_like_all_others(bridged: Cluster) -> None:
    bridged.enforce(policy("x/in", "app=web", ingress=[rule(peers=[pods("app=api")], ports=["80/TCP"])]))
    table = bridged.probe("80/TCP", "81/TCP", "ICMP")
    assert table.reaching("x/web") == {"x/api"}
    assert table.reaching("x/web", "81/TCP") == table.reaching("x/web", "ICMP") == set()


@pytest.mark.parametrize("family", list(Family), ids=lambda family: family.name)
def test_a_node_reaches_its_pods_from_the_bridges_address(bridged: Cluster, family: Family) -> None:
    bridged.enforce(CUT_OFF)
    gateway = parse_address("10.1.0.1" if family is Family.IPV4 else "fd01::1")
    source = Endpoint("node/one", bridged.lab.namespace("node/one"), gateway)
    asked = Probe(source, bridged.place("x/web", "80/TCP", family))
    assert probe([asked], expected=[asked], patience=SHORT)[asked] is Outcome.REACHED
