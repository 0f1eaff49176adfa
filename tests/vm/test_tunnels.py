"""Direct return: a client's packets go through this node, and the pod's answers do not come back through IPVS."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import builders
import pytest
from vm.conversation import answering, ask
from vm.families import EXTERNAL, FAMILIES
from vm.servers import Reply, Servers
from vm.service_lab import ServiceLab
from vm.shown_namespaces import ShownNamespaces

from netpol.errors import KernelRefusal
from netpol.lab.listeners import Place
from netpol.model.networks import Address, Family
from netpol.model.ports import Protocol
from proxy.kernel.ipvs import NetlinkServers
from proxy.kernel.namespaces import reachable_namespaces
from proxy.kernel.tunnels import NetlinkTunnels
from proxy.model import AddDestination, AddServer, Destination, Forwarding, Scheduling, ServerMark

pytestmark = pytest.mark.vm

PORT = 8080
MARK, OTHER_MARK = 0x4E000010, 0x4E000011
TUNNELS = {Family.IPV4: "kube-tunnel-if", Family.IPV6: "kube-tunnel-v6"}
PODS = ("x/web-0", "x/web-1", "x/web-2")


@pytest.fixture
def lab(service_lab: ServiceLab) -> ServiceLab:
    """The lab, whose pods `shown` shows."""
    return service_lab


@pytest.fixture(autouse=True)
def shown(lab: ServiceLab) -> Iterator[ShownNamespaces]:
    """The namespaces of the pods are where a container runtime puts them."""
    with ShownNamespaces(lab, PODS) as shown:
        yield shown


@pytest.fixture
def tunnels(lab: ServiceLab) -> Iterator[NetlinkTunnels]:
    with lab.node.entered(), NetlinkTunnels() as tunnels:
        yield tunnels
        tunnels.remove()


def address(lab: ServiceLab, pod: str, family: Family = Family.IPV4) -> Address:
    return lab.endpoint(pod, family).address


def links(lab: ServiceLab, pod: str) -> str:
    return lab.run("ip", "-br", "addr", "show", on=pod)


def setting(lab: ServiceLab, name: str, on: str) -> str:
    return lab.run("sysctl", "-n", name, on=on).strip()


@FAMILIES
@pytest.mark.parametrize(
    ("protocol", "filters"), [(Protocol.TCP, "0"), (Protocol.TCP, "1"), (Protocol.UDP, "2")], ids=str
)
def test_a_client_outside_is_answered_and_seen_as_itself(
    lab: ServiceLab, tunnels: NetlinkTunnels, family: Family, protocol: Protocol, filters: str
) -> None:
    for place in ("node/one", *PODS):
        lab.run("sysctl", "-qw", f"net.ipv4.conf.all.rp_filter={filters}", on=place)
    lab.run("ip", "route", "replace", "default", "via", str(address(lab, "node/two")))
    vip = builders.address(EXTERNAL[family])
    serve_directly(lab, tunnels, family, protocol)
    served = [Place(replace(lab.endpoint(pod, family), address=vip), protocol, PORT) for pod in PODS]
    client = lab.endpoint("outside/near", family)
    with Servers(served):
        reply = ask(client, vip, PORT, protocol)
        assert isinstance(reply, Reply)
        assert reply.peer == str(client.address)
        assert set(answering(client, vip, PORT, protocol, times=9)) == set(PODS)


def serve_directly(lab: ServiceLab, tunnels: NetlinkTunnels, family: Family, protocol: Protocol) -> None:
    """The external address is answered by all pods, in tunnels."""
    vip = builders.address(EXTERNAL[family])
    pods = [address(lab, pod, family) for pod in PODS]
    key = ServerMark(family, MARK)
    tunnels.route_marks([MARK])
    for pod in pods:
        tunnels.open(pod, frozenset({vip}))
    with NetlinkServers() as servers:
        servers.apply(
            [
                AddServer(key, Scheduling()),
                *(AddDestination(key, Destination(pod, PORT), 1, Forwarding.TUNNEL) for pod in pods),
            ]
        )
    tables = "iptables" if family is Family.IPV4 else "ip6tables"
    words = f"-t mangle -A PREROUTING -d {vip} -p {protocol.value.lower()} --dport {PORT} -j MARK --set-mark {MARK:#x}"
    lab.run(tables, *words.split())


@FAMILIES
def test_exactly_the_marks_that_are_asked_for_are_routed(
    lab: ServiceLab, tunnels: NetlinkTunnels, family: Family
) -> None:
    ip = ("ip", f"-{family.value}")
    before = lab.run(*ip, "rule"), lab.run(*ip, "route", "show", "table", "all")
    lab.run(*ip, "rule", "add", "fwmark", "0x7", "lookup", "100")
    lab.run(*ip, "rule", "add", "fwmark", "0x7", "lookup", "78")
    tunnels.route_marks([MARK, OTHER_MARK])
    tunnels.route_marks([MARK, OTHER_MARK])
    rules = lab.run(*ip, "rule")
    assert [rules.count(f"78:\tfrom all fwmark {mark:#x} lookup 78") for mark in (MARK, OTHER_MARK)] == [1, 1]
    assert "local default dev lo" in lab.run(*ip, "route", "show", "table", "78")
    tunnels.route_marks([OTHER_MARK])
    assert f"{MARK:#x}" not in lab.run(*ip, "rule")
    tunnels.route_marks([])
    lab.run(*ip, "rule", "del", "fwmark", "0x7", "lookup", "100")
    lab.run(*ip, "rule", "del", "fwmark", "0x7", "lookup", "78")
    assert (lab.run(*ip, "rule"), lab.run(*ip, "route", "show", "table", "all")) == before


def test_a_mark_of_somebody_else_is_refused(tunnels: NetlinkTunnels) -> None:
    with pytest.raises(KernelRefusal, match=r"^mark 0x7 cannot be routed: it is not one of the proxy's$"):
        tunnels.route_marks([7])


@FAMILIES
def test_a_pod_has_exactly_the_addresses_that_it_answers_for(
    lab: ServiceLab, tunnels: NetlinkTunnels, family: Family
) -> None:
    pod, vip = address(lab, PODS[0], family), builders.address(EXTERNAL[family])
    tunnels.open(pod, frozenset({vip, vip + 1}))
    tunnels.open(pod, frozenset({vip + 1, vip + 2}))
    shown = links(lab, PODS[0])
    assert TUNNELS[family] in shown
    assert [f"{vip + number}/{family.bits}" in shown for number in range(3)] == [False, True, True]
    assert TUNNELS[family] not in links(lab, PODS[1])


def test_a_pod_of_both_families_has_a_tunnel_for_each(lab: ServiceLab, tunnels: NetlinkTunnels) -> None:
    for family in Family:
        tunnels.open(address(lab, PODS[0], family), frozenset({builders.address(EXTERNAL[family])}))
    shown = links(lab, PODS[0])
    assert all(TUNNELS[family] in shown for family in Family)
    tunnels.close_all(except_pods=[address(lab, PODS[0], Family.IPV6)])
    shown = links(lab, PODS[0])
    assert [TUNNELS[family] in shown for family in Family] == [False, True]


def test_the_next_process_closes_what_is_not_wanted_any_more(lab: ServiceLab, tunnels: NetlinkTunnels) -> None:
    vips = frozenset({builders.address(EXTERNAL[Family.IPV4])})
    for pod in PODS:
        tunnels.open(address(lab, pod), vips)
    with NetlinkTunnels() as later:
        later.close_all(except_pods=[address(lab, PODS[1])])
        assert ["kube-tunnel-if" in links(lab, pod) for pod in PODS] == [False, True, False]
        later.open(address(lab, PODS[2]), vips)
        later.close_all()
        assert ["kube-tunnel-if" in links(lab, pod) for pod in PODS] == [False, True, False]
        later.remove()
    assert ["kube-tunnel-if" in links(lab, pod) for pod in PODS] == [False, False, False]


def test_nothing_of_it_is_left(lab: ServiceLab, tunnels: NetlinkTunnels) -> None:
    lab.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1")
    (way,) = lab.run("ip", "-o", "route", "get", str(address(lab, PODS[0]))).split(" dev ")[1:]
    bridge = way.split()[0]
    before = {on: lab.run("sysctl", "-a", "-r", "rp_filter|arp_", on=on) for on in ("node/one", PODS[0])}
    tunnels.open(address(lab, PODS[0]), frozenset({builders.address(EXTERNAL[Family.IPV4])}))
    assert setting(lab, f"net.ipv4.conf.{bridge}.rp_filter", "node/one") == "2"
    assert setting(lab, "net.ipv4.conf.all.arp_announce", PODS[0]) == "2"
    tunnels.remove()
    after = {on: lab.run("sysctl", "-a", "-r", "rp_filter|arp_", on=on) for on in ("node/one", PODS[0])}
    assert {on: [line for line in text.splitlines() if "tunl0" not in line] for on, text in after.items()} == {
        on: [line for line in text.splitlines() if "tunl0" not in line] for on, text in before.items()
    }


def test_a_pod_that_is_not_visible_is_told_of(lab: ServiceLab, tunnels: NetlinkTunnels, shown: ShownNamespaces) -> None:
    vips = frozenset({builders.address(EXTERNAL[Family.IPV4])})
    tunnels.open(address(lab, PODS[0]), vips)
    shown.hide(PODS[0])
    for pod in (PODS[0], "x/far"):
        with pytest.raises(KernelRefusal, match=rf"^no tunnel can be opened in pod {address(lab, pod)}: its net"):
            tunnels.open(address(lab, pod), vips)
    tunnels.open(address(lab, PODS[1]), vips)


def test_a_pod_that_a_process_is_in_is_found_by_it(
    lab: ServiceLab, tunnels: NetlinkTunnels, shown: ShownNamespaces
) -> None:
    shown.hide(PODS[0])
    with lab.lab.namespace(PODS[0]).entered():
        process = subprocess.Popen(["sleep", "60"])
    try:
        tunnels.open(address(lab, PODS[0]), frozenset({builders.address(EXTERNAL[Family.IPV4])}))
        assert "kube-tunnel-if" in links(lab, PODS[0])
    finally:
        process.kill()
        process.wait()


def test_a_pod_with_the_nodes_own_address_needs_no_tunnel(lab: ServiceLab, tunnels: NetlinkTunnels) -> None:
    tunnels.open(address(lab, "node/one"), frozenset({builders.address(EXTERNAL[Family.IPV4])}))
    assert "kube-tunnel-if" not in lab.run("ip", "link")


def test_a_pod_that_was_found_is_not_looked_for_again(
    lab: ServiceLab, tunnels: NetlinkTunnels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking into all namespaces of a node takes as long as it has pods."""
    searches: list[None] = []

    def counted() -> Iterable[Path]:
        searches.append(None)
        return reachable_namespaces()

    monkeypatch.setattr("proxy.kernel.tunnels.reachable_namespaces", counted)
    for pod in PODS * 3:
        tunnels.open(address(lab, pod), frozenset({builders.address(EXTERNAL[Family.IPV4])}))
    assert len(searches) == 1
