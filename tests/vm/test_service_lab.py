"""The lab is what tests of a proxy take it for, and this kernel has IPVS."""

from __future__ import annotations

from collections import Counter

import builders
import pytest
from vm.conversation import Conversation, answering, ask
from vm.families import CLUSTER, FAMILIES, host_of
from vm.servers import Reply
from vm.service_lab import CLIENTS, PORT, ServiceLab

from netpol.lab.prober import Outcome
from netpol.model.networks import Family
from netpol.model.ports import Protocol

pytestmark = pytest.mark.vm

PROTOCOLS = pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.UDP], ids=lambda protocol: protocol.value)
EVERYBODY = (*CLIENTS, "outside/far")


@FAMILIES
@PROTOCOLS
def test_every_client_reaches_a_pod_and_is_seen_as_itself(
    service_lab: ServiceLab, family: Family, protocol: Protocol
) -> None:
    web = service_lab.endpoint("x/web-1", family)
    for name in EVERYBODY:
        client = service_lab.endpoint(name, family)
        assert ask(client, web.address, PORT, protocol) == Reply("x/web-1", str(client.address))


@FAMILIES
def test_nobody_answers_at_a_service_address_without_a_server(service_lab: ServiceLab, family: Family) -> None:
    client, web = service_lab.endpoint("outside/near", family), service_lab.endpoint("x/web-0", family)
    assert ask(client, builders.address(CLUSTER[family]), 80) is Outcome.REFUSED
    assert ask(client, web.address, PORT + 1) is Outcome.REFUSED
    assert ask(client, web.address, PORT + 1, Protocol.UDP) is Outcome.REFUSED


@FAMILIES
@PROTOCOLS
def test_ipvs_made_by_hand_serves_in_turn(service_lab: ServiceLab, family: Family, protocol: Protocol) -> None:
    balance(service_lab, family, protocol)
    vip = builders.address(CLUSTER[family])
    for name in EVERYBODY:
        client = service_lab.endpoint(name, family)
        assert answering(client, vip, 80, protocol, times=6) == Counter({"x/web-0": 2, "x/web-1": 2, "x/web-2": 2})


@FAMILIES
def test_a_conversation_stays_with_its_server(service_lab: ServiceLab, family: Family) -> None:
    balance(service_lab, family, Protocol.TCP)
    client, vip = service_lab.endpoint("outside/near", family), builders.address(CLUSTER[family])
    with Conversation(client, vip, 80) as one, Conversation(client, vip, 80) as two:
        first, second = one.ask(), two.ask()
        assert first != second
        assert [one.ask(), two.ask(), one.ask()] == [first, second, first]


def test_each_lab_starts_with_no_virtual_server(service_lab: ServiceLab) -> None:
    with ServiceLab(web_pods=1) as other:
        balance(other, Family.IPV4, Protocol.TCP)
        assert "10.96.0.10" in other.run("ipvsadm", "-Sn")
        assert service_lab.run("ipvsadm", "-Sn") == ""


def balance(lab: ServiceLab, family: Family, protocol: Protocol) -> None:
    """Port 80 of the service address is a virtual server of this node, by hand."""
    vip, bits = CLUSTER[family], family.bits
    for command in (
        "sysctl -qw net.ipv4.vs.conntrack=1",
        "ip link add kube-dummy-if type dummy",
        f"ip addr add {vip}/{bits} dev kube-dummy-if",
        "ip link set kube-dummy-if up",
    ):
        lab.run(*command.split())
    restored = [f"-A {_at(vip, 80, protocol)} -s rr"]
    for name in lab.web:
        pod = lab.endpoint(name, family).address
        restored.append(f"-a {_at(vip, 80, protocol)} -r {host_of(pod)}:{PORT} -m")
    lab.run("ipvsadm", "-R", given="\n".join(restored) + "\n")
    iptables = "ip6tables" if family is Family.IPV6 else "iptables"
    lab.run(iptables, "-t", "nat", "-A", "POSTROUTING", "-m", "ipvs", "--ipvs", "-j", "MASQUERADE")


def _at(address: str, port: int, protocol: Protocol) -> str:
    return f"-{protocol.value[0].lower()} {host_of(address)}:{port}"
