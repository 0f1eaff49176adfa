"""Whatever is changed by hand of what services need is found and mended, and nothing else is touched by a change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

import builders
import pytest
from proxy_builders import endpoint, endpoint_slice, service
from vm.conversation import answering
from vm.kernel_lines import kernel_lines, make_tables, what_is_counted
from vm.service_lab import PORT, ServiceLab
from vm.service_node import ServiceNode

from netpol.model.services import EndpointSlice, TrafficPolicy
from netpol.settings import ProxySettings

pytestmark = pytest.mark.vm

SYNC_SECONDS = 1.0
MENDED = "netpol_proxy_drift_mended_total"
WEB = service("x/web", "10.96.0.10 fd00:96::10", ports="80:30080/TCP", external="203.0.113.10 2001:db8:113::10")
KEEPING = replace(
    service("x/keeping", "10.96.0.20", external="203.0.113.20", sources="198.51.100.0/24"),
    external_policy=TrafficPolicy.LOCAL,
    hairpin=True,
)
DIRECT = replace(service("x/direct", "10.96.0.30", ports=f"{PORT}/TCP", external="203.0.113.30"), direct_return=True)
SERVICES = (WEB, KEEPING, DIRECT)


def slices(lab: ServiceLab, pods: Iterable[str] = ()) -> list[EndpointSlice]:
    """Of each service a slice, with all pods ready but for that of `x/web`, which may have others."""
    found = []
    for each in SERVICES:
        names = list(pods or lab.web) if each is WEB else lab.web
        ends = (endpoint(str(place.address), "one") for name in names for place in lab.lab.endpoints(name))
        found.append(endpoint_slice(f"{each}-1", each.name, *ends, ports=f"{PORT}/TCP"))
    return found


@pytest.fixture(scope="module")
def lab() -> Iterator[ServiceLab]:
    with ServiceLab() as built:
        yield built


@pytest.fixture(scope="module")
def node(lab: ServiceLab) -> Iterator[ServiceNode]:
    with kept(lab) as node:
        yield node


def kept(lab: ServiceLab) -> ServiceNode:
    """The node with the services, compared with what they ask for every second."""
    settings = ProxySettings(sync_period_seconds=SYNC_SECONDS, graceful_seconds=0.0)
    return ServiceNode(lab, *SERVICES, *slices(lab), settings=settings, sync_seconds=SYNC_SECONDS)


@pytest.fixture(scope="module")
def right(lab: ServiceLab, node: ServiceNode) -> frozenset[str]:
    """What the kernel holds before anybody has changed it."""
    make_tables(lab)
    return kernel_lines(lab)


@pytest.fixture
def mark(lab: ServiceLab, node: ServiceNode) -> str:
    """The mark of the service that answers directly, as ipvsadm has it."""
    return lab.run("ipvsadm", "-S", "-n").partition("-f ")[2].split()[0]


DRIFT: dict[str, tuple[int, list[str]]] = {
    "virtual servers": (
        4,
        [
            "ipvsadm -D -t 10.96.0.10:80",
            "ipvsadm -D -f {mark}",
            "ipvsadm -E -t [fd00:96::10]:80 -s sh -b sh-port",
            "ipvsadm -E -t 10.96.0.20:80 -s rr -p 60",
        ],
    ),
    "all virtual servers": (14, ["ipvsadm -C"]),
    "endpoints": (
        5,
        [
            "ipvsadm -d -t [fd00:96::10]:80 -r [fd01::11]:8080",
            "ipvsadm -a -t 10.96.0.10:80 -r 10.1.0.5:8080 -m",
            "ipvsadm -e -t 10.96.0.10:80 -r 10.1.0.10:8080 -m -w 7",
            "ipvsadm -e -t 10.96.0.10:80 -r 10.1.0.11:8080 -m -w 0",
            "ipvsadm -e -t 10.96.0.30:8080 -r 10.1.0.12:8080 -g",
        ],
    ),
    "addresses": (
        3,
        [
            "ip addr del 10.96.0.10/32 dev kube-dummy-if",
            "ip addr del fd00:96::10/128 dev kube-dummy-if",
            "ip addr add 10.96.0.77/32 dev kube-dummy-if",
        ],
    ),
    "the link": (1, ["ip link set kube-dummy-if down", "ip link set kube-dummy-if arp on"]),
    "settings": (
        5,
        [
            "sysctl -qw net.ipv4.vs.conntrack=0",
            "sysctl -qw net.ipv4.vs.expire_nodest_conn=0",
            "sysctl -qw net.ipv4.conf.all.arp_ignore=0",
            "sysctl -qw net.ipv4.ip_forward=0",
            "sysctl -qw net.ipv6.conf.all.forwarding=0",
        ],
    ),
    "members": (
        4,
        [
            "ipset del NETPOL-SERVICE-SERVED-4 10.96.0.10,tcp:80",
            "ipset del NETPOL-SERVICE-OWNED-4 203.0.113.10,tcp:80",
            "ipset -exist add NETPOL-SERVICE-OWNED-4 10.96.0.10,tcp:80 comment x",
            "ipset add NETPOL-SERVICE-SOURCES-4 203.0.113.20,tcp:80,192.0.2.0/24",
        ],
    ),
    "all members": (5, ["ipset flush"]),
    "chains": (
        4,
        [
            "iptables -F NETPOL-SERVICE-INPUT",
            "ip6tables -t nat -F NETPOL-SERVICE-POSTROUTING",
            "iptables -t nat -D NETPOL-SERVICE-KEEP 1",
            "iptables -t mangle -D NETPOL-SERVICE-PREROUTING 1",
        ],
    ),
    "hooks": (3, ["iptables -F INPUT", "ip6tables -F INPUT", "iptables -t nat -F POSTROUTING"]),
    "all chains": (
        3,
        ["iptables -F", "iptables -X", "ip6tables -t nat -F", "ip6tables -t nat -X", "iptables -t mangle -F"],
    ),
    "marks": (2, ["ip rule del lookup 78", "ip route flush table 78"]),
}
"""How many changes mend it at the least, and what is done by hand; each of these is one that has to be mended."""


@pytest.mark.parametrize("what", DRIFT)
def test_what_is_changed_by_hand_is_mended(
    lab: ServiceLab, node: ServiceNode, right: frozenset[str], mark: str, what: str
) -> None:
    least, commands = DRIFT[what]
    before = node.metric(MENDED)
    for command in commands:
        lab.run(*command.format(mark=mark).split())
    assert_mended(lab, node, right)
    node.until(lambda: node.metric(MENDED) >= before + least, f"{least} changes are counted")


def test_where_nobody_changes_anything_nothing_is_counted(
    lab: ServiceLab, node: ServiceNode, right: frozenset[str]
) -> None:
    compared = "kube_router_controller_ipvs_services_sync_time_count"
    looks, before = node.metric(compared), node.metric(MENDED)
    node.until(lambda: node.metric(compared) >= looks + 3, "it was compared")
    assert node.metric(MENDED) == before


def test_an_endpoint_that_goes_touches_nothing_else(lab: ServiceLab, node: ServiceNode, right: frozenset[str]) -> None:
    for vip in ("10.96.0.10", "10.96.0.20"):
        answering(lab.endpoint("x/client"), builders.address(vip), 80, times=3)
    counted = what_is_counted(lab)
    node.put(*slices(lab, lab.web[1:]))
    node.until_weights("[fd00:96::10]:80/TCP", {"[fd01::11]:8080": 1, "[fd01::12]:8080": 1})
    now = kernel_lines(lab)
    lost = right - now
    # The cluster address, the external one and the node's port, in either family.
    assert sorted(line.split()[-4] for line in lost) == ["10.1.0.10:8080"] * 3 + ["[fd01::10]:8080"] * 3
    assert now - right == frozenset()
    assert [line for line in counted if ":8080" not in line] == [
        line for line in what_is_counted(lab) if ":8080" not in line
    ]
    node.put(*slices(lab))
    assert_mended(lab, node, right)


def test_a_hook_that_is_pushed_from_its_place_gets_it_back(
    lab: ServiceLab, node: ServiceNode, right: frozenset[str]
) -> None:
    lab.run("iptables", "-I", "INPUT", "-s", "198.51.100.0/24", "-j", "ACCEPT")
    pushed = "iptables *filter 2 -A INPUT -s 198.51.100.0/24 -j ACCEPT"
    node.until(lambda: pushed in kernel_lines(lab), "the hook is first")
    lab.run("iptables", "-D", "INPUT", "2")
    assert_mended(lab, node, right)


def test_a_link_that_is_deleted_comes_back_with_its_addresses(service_lab: ServiceLab) -> None:
    """It is another link to whoever looks, so this is tried on a node of its own."""
    lab = service_lab
    with kept(lab) as node:
        lab.run("ip", "link", "del", "kube-dummy-if")
        node.until(partial(are_bound, lab), "the addresses are there")
        for name in ("x/client", "node/one", "outside/near"):
            client, vip = lab.endpoint(name), builders.address("10.96.0.10")
            assert answering(client, vip, 80, times=3) == dict.fromkeys(lab.web, 1)


def are_bound(lab: ServiceLab) -> bool:
    """True where the link has every address of the services that are not answered directly."""
    found = lab.run("ip", "addr")
    bound = {"10.96.0.10/32", "fd00:96::10/128", "203.0.113.10/32", "10.96.0.20/32", "203.0.113.20/32", "10.96.0.30/32"}
    return all(f" {address} " in found for address in bound)


def assert_mended(lab: ServiceLab, node: ServiceNode, right: frozenset[str]) -> None:
    """Soon the kernel holds what it did before, to the letter."""
    found: list[frozenset[str]] = []

    def is_right() -> bool:
        found.append(kernel_lines(lab))
        return found[-1] == right

    try:
        node.until(is_right, "it is mended")
    except AssertionError as late:
        lacking, beyond = sorted(right - found[-1]), sorted(found[-1] - right)
        raise AssertionError(f"{late}; lacking {lacking}, beyond {beyond}") from late
