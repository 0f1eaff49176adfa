"""What is somebody else's stays as it is, what an earlier proxy left is taken over, and what nobody asks for goes."""

from __future__ import annotations

import re
from collections.abc import Iterable

import builders
import pytest
from proxy_builders import endpoint, endpoint_slice, service
from vm.conversation import Conversation, answering, ask
from vm.kernel_lines import kernel_lines, make_tables
from vm.servers import Reply
from vm.service_lab import PORT, ServiceLab
from vm.service_node import ServiceNode

from netpol.lab.prober import Outcome
from netpol.model.networks import parse_network
from netpol.model.services import EndpointSlice
from netpol.settings import ProxySettings

pytestmark = pytest.mark.vm

SYNC_SECONDS = 0.5
WEB = service("x/web", "10.96.0.10 fd00:96::10", ports="80:30080/TCP")
TAKEN = service("x/taken", "10.96.0.50", external="203.0.113.50")

THEIRS = """\
ipvsadm -A -t 198.18.0.1:80 -s wlc
ipvsadm -a -t 198.18.0.1:80 -r 10.1.0.10:8080 -m -w 3
ipvsadm -a -t 198.18.0.1:80 -r 10.1.0.11:8080 -m -w 0
ipvsadm -A -u [2001:db8:18::1]:53 -s sh -b sh-port
ipvsadm -A -f 7 -s lc
ipvsadm -a -f 7 -r 10.1.0.10 -g
ipset create THEIRS hash:ip
ipset add THEIRS 198.51.100.99
iptables -N THEIRS
iptables -A THEIRS -m set --match-set THEIRS src -j DROP
iptables -A INPUT -j THEIRS
iptables -t nat -A POSTROUTING -s 172.16.0.0/12 -j MASQUERADE
ip6tables -t mangle -A PREROUTING -p udp --dport 53 -j MARK --set-mark 7
ip link add keepalived0 type dummy
ip addr add 198.18.0.1/32 dev keepalived0
ip addr add 2001:db8:18::1/128 dev keepalived0
ip link set keepalived0 up
ip rule add fwmark 7 lookup 100
ip route add local default dev lo table 100
"""


def slice_of(lab: ServiceLab, name: str, pods: Iterable[str] = ()) -> EndpointSlice:
    """These pods, or all, are ready."""
    ends = (endpoint(str(each.address), "one") for pod in (pods or lab.web) for each in lab.lab.endpoints(pod))
    return endpoint_slice(f"x/{name}-1", name, *ends, ports=f"{PORT}/TCP")


def by_hand(lab: ServiceLab, commands: str) -> None:
    """These commands, a line each, are carried out on the node."""
    for command in commands.splitlines():
        lab.run(*command.split())


def quick(*excluded: str) -> ProxySettings:
    """The kernel is compared twice a second, but for what is in these networks."""
    networks = tuple(map(parse_network, excluded))
    return ProxySettings(sync_period_seconds=SYNC_SECONDS, graceful_seconds=0.0, excluded=networks)


def test_what_others_have_stays(service_lab: ServiceLab) -> None:
    make_tables(service_lab)
    before = kernel_lines(service_lab)
    by_hand(service_lab, THEIRS)
    theirs = kernel_lines(service_lab) - before
    assert len(theirs) > len(THEIRS.splitlines()) - 4
    with ServiceNode(
        service_lab, WEB, slice_of(service_lab, "web"), settings=quick(), sync_seconds=SYNC_SECONDS
    ) as node:
        assert missing(service_lab, theirs) == []
        node.put(slice_of(service_lab, "web", service_lab.web[:1]))
        node.until_weights("10.96.0.10:80/TCP", {"10.1.0.10:8080": 1})
        by_hand(
            service_lab, "ipvsadm -D -t 10.96.0.10:80\nip link del kube-dummy-if\nipset flush NETPOL-SERVICE-OWNED-4"
        )
        node.until(lambda: node.metric("netpol_proxy_drift_mended_total"), "what was ours is mended")
        assert missing(service_lab, theirs) == []
        node.drop(WEB)
        node.until(lambda: node.weights("10.96.0.10:80/TCP") is None, "the service is gone")
        assert missing(service_lab, theirs) == []


def missing(lab: ServiceLab, lines: frozenset[str]) -> list[str]:
    """Those of the lines that the kernel has no more, whatever place a rule has in its chain."""
    held = {unplaced(line) for line in kernel_lines(lab)}
    return sorted(line for line in lines if unplaced(line) not in held)


def unplaced(line: str) -> str:
    """The line of a rule without its place."""
    return re.sub(r" \d+ -A ", " -A ", line)


def test_an_external_address_that_others_serve_is_left_to_them(service_lab: ServiceLab) -> None:
    by_hand(service_lab, "ipvsadm -A -t 203.0.113.50:80 -s wlc\nipvsadm -a -t 203.0.113.50:80 -r 192.0.2.99:80 -g")
    told = (TAKEN, slice_of(service_lab, "taken"))
    client = service_lab.endpoint("outside/near")
    with ServiceNode(service_lab, *told, settings=quick(), sync_seconds=SYNC_SECONDS) as node:
        assert node.metric("netpol_proxy_conflicts") == 1
        assert [each for each in node.notices if "203.0.113.50:80/TCP is a virtual server of somebody else" in each]
        assert "-A -t 203.0.113.50:80 -s wlc\n" in service_lab.run("ipvsadm", "-S", "-n")
        assert node.weights("203.0.113.50:80/TCP") == {"192.0.2.99:80": 1}
        assert "203.0.113.50" not in service_lab.run("ip", "addr")
        assert "203.0.113.50" not in service_lab.run("ipset", "save")
        assert answering(client, builders.address("10.96.0.50"), 80, times=3) == dict.fromkeys(service_lab.web, 1)
        by_hand(service_lab, "ipvsadm -D -t 203.0.113.50:80")
        node.until(lambda: node.weights("203.0.113.50:80/TCP"), "what they gave up is taken")
        node.until(lambda: node.metric("netpol_proxy_conflicts") == 0, "no conflict")
        assert answering(client, builders.address("203.0.113.50"), 80, times=3) == dict.fromkeys(service_lab.web, 1)


KUBE_ROUTER = """\
ip link add kube-dummy-if type dummy
ip link set kube-dummy-if up
ip addr add 10.96.0.10/32 dev kube-dummy-if
ip addr add 10.96.0.99/32 dev kube-dummy-if
ip addr add 10.97.0.1/32 dev kube-dummy-if
sysctl -qw net.ipv4.vs.conntrack=1
ipvsadm -A -t 10.96.0.10:80 -s rr
ipvsadm -a -t 10.96.0.10:80 -r 10.1.0.10:8080 -m
ipvsadm -A -t 10.96.0.99:80 -s rr
ipvsadm -a -t 10.96.0.99:80 -r 10.1.0.10:8080 -m
ipvsadm -A -t 192.0.2.1:30080 -s rr
ipvsadm -a -t 192.0.2.1:30080 -r 10.1.0.10:8080 -m
ipvsadm -A -t 10.97.0.1:80 -s rr
ipvsadm -a -t 10.97.0.1:80 -r 10.1.0.10:8080 -m
iptables -t nat -A POSTROUTING -m ipvs --ipvs -j MASQUERADE
"""


def test_what_kube_router_left_is_taken_over_or_removed(service_lab: ServiceLab) -> None:
    by_hand(service_lab, KUBE_ROUTER)
    client, node_address = service_lab.endpoint("outside/near"), service_lab.endpoint("node/one").address
    settings = quick("10.97.0.0/16")
    with (
        Conversation(client, builders.address("10.96.0.10"), 80) as to_address,
        Conversation(client, node_address, 30080) as to_port,
    ):
        held = (to_address.ask(), to_port.ask())
        assert {each.name for each in held if isinstance(each, Reply)} == {"x/web-0"}
        with ServiceNode(service_lab, WEB, slice_of(service_lab, "web"), settings=settings) as node:
            assert (to_address.ask(), to_port.ask()) == held
            everybody = {"10.1.0.10:8080": 1, "10.1.0.11:8080": 1, "10.1.0.12:8080": 1}
            assert node.weights("10.96.0.10:80/TCP") == everybody
            assert node.weights("192.0.2.1:30080/TCP") == everybody
            assert node.weights("10.96.0.99:80/TCP") is None
            assert node.weights("10.97.0.1:80/TCP") == {"10.1.0.10:8080": 1}
            assert "10.96.0.99" not in service_lab.run("ip", "addr")
        assert (to_address.ask(), to_port.ask()) == held


def test_services_that_went_while_nobody_looked_are_gone(service_lab: ServiceLab) -> None:
    other = service("y/other", "10.96.0.60", external="203.0.113.60", ports="80:30060/TCP")
    others = endpoint_slice("y/other-1", "other", endpoint("10.1.0.10", "one"), ports=f"{PORT}/TCP")
    web = (WEB, slice_of(service_lab, "web"))
    with ServiceNode(service_lab, *web, settings=quick()):
        without = kernel_lines(service_lab)
    with ServiceNode(service_lab, *web, other, others, settings=quick()) as node:
        assert node.weights("203.0.113.60:80/TCP") == {"10.1.0.10:8080": 1}
        assert kernel_lines(service_lab) > without
    with ServiceNode(service_lab, *web, settings=quick()):
        assert kernel_lines(service_lab) == without
    gone = ask(service_lab.endpoint("node/one"), builders.address("203.0.113.60"), 80, seconds=0.5)
    assert isinstance(gone, Outcome)
