"""Machines reach each other over the wire, and forward what is meant for their pods."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from builders import address, node

from netpol.lab.machine import Machine, NodeMachine, Wire
from netpol.lab.topology import Wiring

NODE = node("n", "192.0.2.1", pod_cidrs=["10.1.0.0/24"])


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def wire(opened: ExitStack) -> Wire:
    return opened.enter_context(closing(Wire()))


def route(machine: Machine, destination: str) -> str:
    """How `machine` would send to `destination`."""
    return machine.namespace.run(["ip", "-o", "route", "get", destination]).stdout


@pytest.mark.kernel
def test_a_machine_reaches_anothers_own_address_straight_and_what_lies_behind_it_through_it(
    opened: ExitStack, wire: Wire
) -> None:
    here = opened.enter_context(closing(Machine("here", (address("192.0.2.1"), address("fd00::1")), wire)))
    there = opened.enter_context(closing(Machine("there", (address("192.0.2.2"), address("fd00::2")), wire)))
    for behind in (*there.addresses, address("10.5.5.5"), address("fd55::5")):
        here.reach(behind, there)
    assert " via " not in route(here, "192.0.2.2")
    assert "via 192.0.2.2" in route(here, "10.5.5.5")
    assert "via fd00::2" in route(here, "fd55::5")
    assert "src 192.0.2.1" in route(here, "10.5.5.5")
    here.forget(address("10.5.5.5"))
    assert route(here, "10.5.5.5") == ""


@pytest.mark.kernel
@pytest.mark.parametrize(("wiring", "calls"), [(Wiring.ROUTED, False), (Wiring.BRIDGED, True)])
def test_a_node_forwards_and_its_bridge_calls_iptables(
    opened: ExitStack, wire: Wire, wiring: Wiring, calls: bool
) -> None:
    machine = opened.enter_context(closing(NodeMachine(NODE, wire, wiring)))
    read = ["cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"]
    assert machine.namespace.run(read).stdout.split() == ["1", "1"]
    assert ("kube-bridge" in machine.namespace.run(["ip", "link"]).stdout) is calls
    if calls:
        bridge = "/proc/sys/net/bridge/bridge-nf-call-"
        assert machine.namespace.run(["cat", f"{bridge}iptables", f"{bridge}ip6tables"]).stdout.split() == ["1", "1"]


@pytest.mark.kernel
@pytest.mark.parametrize("wiring", list(Wiring))
def test_a_node_speaks_to_its_pods_from_its_address_in_their_range(
    opened: ExitStack, wire: Wire, wiring: Wiring
) -> None:
    """As a bridge's node does, which is why G8 lets in any of a node's own addresses."""
    machine = opened.enter_context(closing(NodeMachine(NODE, wire, wiring)))
    opened.enter_context(machine.plug("x/a", (address("10.1.0.10"),)))
    assert "src 10.1.0.1" in route(machine, "10.1.0.10")
    assert machine.unplug("x/a") == (address("10.1.0.10"),)
    assert "veth" not in route(machine, "10.1.0.10")
