"""What is done to the kernel in memory stands in its journal, and what is as it should be is not done again."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.model.ports import Protocol
from netpol.settings import ConnectionTimeouts
from proxy.kernel.memory import MemoryProxyKernel
from proxy.model import (
    AddDestination,
    AddServer,
    Destination,
    EditDestination,
    EditServer,
    HeldDestination,
    RemoveDestination,
    RemoveServer,
    Scheduling,
    ServerAddress,
    ServerMark,
    Traffic,
)

KEY = ServerAddress(ip_address("10.96.0.1"), Protocol.TCP, 80)
OTHER = ServerMark(Family.IPV6, 0x4E000001)
TO = Destination(ip_address("10.244.0.1"), 8080)
POD, VIP = ip_address("10.244.0.1"), ip_address("203.0.113.10")


@pytest.fixture
def kernel() -> MemoryProxyKernel:
    return MemoryProxyKernel()


def test_each_step_is_one_message(kernel: MemoryProxyKernel) -> None:
    kernel.servers.apply(
        [
            AddServer(KEY, Scheduling()),
            AddDestination(KEY, TO),
            EditServer(KEY, Scheduling("lc")),
            EditDestination(KEY, TO, 0),
            RemoveDestination(KEY, TO),
            RemoveServer(KEY),
            RemoveServer(OTHER),
            RemoveDestination(KEY, TO),
        ]
    )
    assert kernel.journal.operations == [
        "add 10.96.0.1:80/TCP rr",
        "add 10.96.0.1:80/TCP -> 10.244.0.1:8080 1",
        "edit 10.96.0.1:80/TCP lc",
        "edit 10.96.0.1:80/TCP -> 10.244.0.1:8080 0",
        "remove 10.96.0.1:80/TCP -> 10.244.0.1:8080",
        "remove 10.96.0.1:80/TCP",
    ]


def test_what_a_test_has_refused_is_not_done_and_the_rest_is(kernel: MemoryProxyKernel) -> None:
    kernel.journal.refuse(after=1)
    with pytest.raises(KernelRefusal, match=r"^add 10\.96\.0\.1:80/TCP -> .* refused, as the test told"):
        kernel.servers.apply([AddServer(KEY, Scheduling()), AddDestination(KEY, TO), AddServer(OTHER, Scheduling())])
    assert {key: each.destinations for key, each in kernel.servers.read().items()} == {KEY: {}, OTHER: {}}


def test_connections_and_traffic_are_as_the_test_says(kernel: MemoryProxyKernel) -> None:
    kernel.servers.apply([AddServer(KEY, Scheduling()), AddDestination(KEY, TO)])
    kernel.servers.connect(KEY, TO, active=2, inactive=1)
    kernel.servers.carry(KEY, Traffic(connections=3))
    kernel.servers.apply([EditDestination(KEY, TO, 0)])
    held = kernel.servers.read_one(KEY)
    assert held is not None
    assert (held.destinations[TO], held.destinations[TO].connections) == (HeldDestination(0), 3)
    assert held.traffic.connections == 3


def test_what_was_read_is_of_that_moment(kernel: MemoryProxyKernel) -> None:
    before = kernel.servers.read()
    kernel.servers.apply([AddServer(KEY, Scheduling()), AddDestination(KEY, TO)])
    after = kernel.servers.read()
    kernel.servers.apply([RemoveDestination(KEY, TO)])
    assert (before, after[KEY].destinations) == ({}, {TO: HeldDestination()})


def test_only_the_timeouts_that_are_given_change(kernel: MemoryProxyKernel) -> None:
    kernel.servers.set_timeouts(ConnectionTimeouts())
    assert kernel.journal.operations == []
    kernel.servers.set_timeouts(ConnectionTimeouts(900, 120, 300))
    kernel.servers.set_timeouts(ConnectionTimeouts(udp=30))
    assert kernel.servers.timeouts == ConnectionTimeouts(900, 120, 30)


def test_a_link_is_written_where_something_changes(kernel: MemoryProxyKernel) -> None:
    for _ in range(2):
        kernel.link.ensure()
        kernel.link.bind([VIP])
    for _ in range(2):
        kernel.link.unbind([VIP])
        kernel.link.remove()
    assert kernel.journal.operations == [
        "add link kube-dummy-if",
        "bind 203.0.113.10",
        "unbind 203.0.113.10",
        "remove link kube-dummy-if",
    ]


def test_a_link_that_was_set_down_is_set_up(kernel: MemoryProxyKernel) -> None:
    kernel.link.ensure()
    kernel.link.is_up = False
    assert [kernel.link.ensure(), kernel.link.ensure()] == [True, False]
    assert kernel.journal.operations == ["add link kube-dummy-if", "set up link kube-dummy-if"]


def test_it_is_counted_which_marks_come_and_go(kernel: MemoryProxyKernel) -> None:
    each: tuple[list[int], ...] = ([0x4E000001, 0x4E000002], [0x4E000002, 0x4E000001], [0x4E000003], [])
    assert [kernel.tunnels.route_marks(marks) for marks in each] == [2, 0, 3, 1]


def test_settings_are_written_where_something_changes(kernel: MemoryProxyKernel) -> None:
    kernel.link.ensure()
    kernel.journal.operations.clear()
    kernel.sysctls.ensure()
    assert len(kernel.journal.operations) == 3
    kernel.sysctls.ensure()
    assert len(kernel.journal.operations) == 3
    kernel.sysctls.restore()
    assert sorted(kernel.journal.operations[3:]) == [
        "set net.ipv4.conf.all.arp_ignore to 0",
        "set net.ipv4.vs.conntrack to 0",
    ]


def test_the_nodes_addresses_are_what_the_test_says(kernel: MemoryProxyKernel) -> None:
    assert kernel.node_addresses.read() == frozenset()
    kernel.node_addresses.addresses = frozenset({VIP})
    assert kernel.node_addresses.read() == {VIP}


def test_tunnels_are_written_where_something_changes(kernel: MemoryProxyKernel) -> None:
    for _ in range(2):
        kernel.tunnels.route_marks([0x4E000001])
        kernel.tunnels.open(POD, frozenset({VIP}))
        kernel.tunnels.close_all(except_pods=[POD])
    kernel.tunnels.remove()
    assert kernel.journal.operations == [
        "route mark 0x4e000001",
        "open 10.244.0.1 for 203.0.113.10",
        "close 10.244.0.1",
        "unroute mark 0x4e000001",
    ]
    assert (kernel.tunnels.marks, kernel.tunnels.opened) == (frozenset(), {})


def test_tunnels_refuse_what_the_kernel_refuses(kernel: MemoryProxyKernel) -> None:
    with pytest.raises(KernelRefusal, match=r"^mark 0x7 cannot be routed: it is not one of the proxy's$"):
        kernel.tunnels.route_marks([7])
    kernel.tunnels.reachable = {VIP}.__contains__
    with pytest.raises(KernelRefusal, match=r"^no tunnel can be opened in pod 10\.244\.0\.1: its network namespace is"):
        kernel.tunnels.open(POD, frozenset({VIP}))
