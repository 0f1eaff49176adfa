"""Ports of bridges in a namespace of their own, and what stands in for them; tests/vm has pods behind them."""

from __future__ import annotations

import errno
import subprocess

import pytest

from netpol.dataplane.memory.journal import Journal
from netpol.dataplane.netlink import NetlinkError, NetlinkSocket
from netpol.errors import KernelRefusal
from netpol.model.networks import parse_address
from proxy.kernel.bridges import NetlinkBridges
from proxy.kernel.link_messages import BridgePort
from proxy.kernel.links import NetlinkLinks
from proxy.kernel.memory import MemoryBridges
from proxy.kernel.protocols import Bridges

POD, OTHER = parse_address("10.244.0.11"), parse_address("10.244.0.12")


def test_pods_return_from_then_on() -> None:
    journal = Journal()
    bridges: Bridges = MemoryBridges(journal)
    assert bridges.let_return([POD]) == 1
    assert bridges.let_return([POD, OTHER]) == 1
    assert bridges.let_return([POD, OTHER]) == 0
    assert len(journal.operations) == 2


def test_without_pods_the_kernel_is_not_asked() -> None:
    assert NetlinkBridges().let_return([]) == 0


@pytest.mark.kernel
def test_only_ports_of_the_pods_bridge_return_packets(private_network: None) -> None:
    for words in (
        "link add pods type bridge",
        "link add others type bridge",
        "link add first type veth peer name first-end",
        "link add second type veth peer name second-end",
        "link add third type veth peer name third-end",
        "link set first master pods",
        "link set second master pods",
        "link set third master others",
        "link set pods up",
        "address add 10.244.0.1/24 dev pods",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    assert NetlinkBridges().let_return([parse_address("203.0.113.9")]) == 0
    assert NetlinkBridges().let_return([POD, OTHER]) == 2
    assert NetlinkBridges().let_return([POD]) == 0
    with NetlinkLinks() as links:
        assert sorted(port.returns for port in links.bridge_ports()) == [False, True, True]
        first = links.find("first")
        assert first is not None
        subprocess.run(["ip", "link", "set", "first", "nomaster"], check=True)
        links.return_packets([BridgePort(first.number, 1, returns=False), BridgePort(9999, 1, returns=False)])


def test_a_refusal_says_what_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NetlinkSocket, "call_all", lambda *_: iter([NetlinkError(errno.EPERM)]))
    with NetlinkLinks() as links, pytest.raises(KernelRefusal) as refused:
        links.return_packets([BridgePort(7, 3, returns=False)])
    assert str(refused.value) == "bridge ports cannot be made to return packets: it takes root (CAP_NET_ADMIN)"
