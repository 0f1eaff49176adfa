"""A flow lives as long as the network carries it, in each direction for itself."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from builders import node, pod

from netpol.lab.flows import Flow, Speaker
from netpol.lab.lab import Lab
from netpol.lab.listeners import Place
from netpol.lab.namespace import LabError
from netpol.model.networks import Family
from netpol.model.ports import Protocol


@pytest.fixture
def lab() -> Iterator[Lab]:
    pods = [pod("x/a", "10.1.0.10", "fd01::10", node="n"), pod("x/b", "10.1.0.11", "fd01::11", node="n")]
    with Lab([node("n", pod_cidrs=["10.1.0.0/24", "fd01::/64"])], pods) as built:
        yield built


def flow(lab: Lab, protocol: Protocol, family: Family = Family.IPV4) -> Flow:
    return Flow(lab.endpoint("x/a", family), Place(lab.endpoint("x/b", family), protocol, 80))


@pytest.mark.kernel
@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.UDP])
def test_both_sides_are_heard_again_and_again(lab: Lab, protocol: Protocol, family: Family) -> None:
    with flow(lab, protocol, family) as opened:
        for speaker in [Speaker.SERVER, Speaker.CLIENT, Speaker.CLIENT, Speaker.SERVER]:
            assert opened.passes(speaker, seconds=6)


@pytest.mark.kernel
@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.UDP])
def test_only_the_side_that_is_cut_off_is_not_heard(lab: Lab, protocol: Protocol) -> None:
    """TCP hears nothing new once acknowledgements are lost only when its window is full, so the data is dropped."""
    with flow(lab, protocol) as opened:
        rule = ["FORWARD", "-s", str(lab.endpoint("x/a").address), "-j", "DROP"]
        assert lab.namespace("node/n").run(["iptables", "-I", *rule]).stderr == ""
        assert not opened.passes(Speaker.CLIENT)
        assert opened.passes(Speaker.SERVER, seconds=6)
        assert lab.namespace("node/n").run(["iptables", "-D", *rule]).stderr == ""
        assert opened.passes(Speaker.CLIENT, seconds=20)


@pytest.mark.kernel
def test_what_the_other_end_has_closed_passes_nothing(lab: Lab) -> None:
    with flow(lab, Protocol.TCP) as opened:
        opened._server.shutdown(socket.SHUT_RDWR)
        assert not opened.passes(Speaker.CLIENT)


@pytest.mark.kernel
@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.UDP])
def test_a_flow_that_does_not_open_is_an_error(lab: Lab, protocol: Protocol, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netpol.lab.flows.OPENING_SECONDS", 0.3)
    assert lab.namespace("node/n").run(["iptables", "-I", "FORWARD", "-j", "DROP"]).stderr == ""
    with pytest.raises(LabError, match=r"from x/a .* to x/b"):
        flow(lab, protocol)


@pytest.mark.kernel
def test_only_tcp_and_udp_flow(lab: Lab) -> None:
    with pytest.raises(LabError, match="no flow can be kept open"):
        flow(lab, Protocol.SCTP)
