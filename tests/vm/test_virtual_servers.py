"""The kernel's IPVS does what the one in memory does; and what only a kernel can show."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from virtual_server_cases import KEY, TO, VirtualServerCases, endpoint, server

from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.model.ports import Protocol
from netpol.settings import ConnectionTimeouts
from proxy.kernel.ipvs import NetlinkServers
from proxy.model import (
    AddDestination,
    AddServer,
    Destination,
    EditServer,
    Forwarding,
    HeldDestination,
    HeldServer,
    RemoveServer,
    Scheduling,
    ServerAddress,
    ServerMark,
    ServerStep,
)

pytestmark = pytest.mark.vm


@pytest.fixture
def servers(private_network: None) -> Iterator[NetlinkServers]:
    with NetlinkServers() as servers:
        yield servers


def ipvsadm(*arguments: str) -> str:
    return subprocess.run(("ipvsadm", *arguments), check=True, capture_output=True, text=True).stdout


class TestInTheKernel(VirtualServerCases):
    """Every case, in the kernel."""


def test_a_thousand_servers_and_their_destinations(servers: NetlinkServers, datagrams: list[int]) -> None:
    keys = [ServerAddress(ip_address(0x0A600000 + number), Protocol.TCP, 80) for number in range(1000)]
    endpoints = {
        key: [Destination(ip_address(0x0AF40000 + 10 * number + each), 8080) for each in range(10)]
        for number, key in enumerate(keys)
    }
    steps: list[ServerStep] = []
    for key in keys:
        steps += [AddServer(key, Scheduling()), *(AddDestination(key, to) for to in endpoints[key])]
    datagrams.clear()
    servers.apply(steps)
    assert sum(datagrams) == len(steps) == 11000
    assert len(datagrams) < 100
    datagrams.clear()
    found = servers.read()
    assert len(datagrams) == 1001
    assert found == {
        key: HeldServer(key, Scheduling(), dict.fromkeys(endpoints[key], HeldDestination())) for key in keys
    }
    servers.apply(RemoveServer(key) for key in keys)
    assert servers.read() == {}


def test_servers_of_others_are_read_and_stay(servers: NetlinkServers) -> None:
    ipvsadm("-A", "-u", "192.0.2.1:53", "-s", "wrr", "-o")
    ipvsadm("-a", "-u", "192.0.2.1:53", "-r", "192.0.2.7:53", "-g", "-w", "3")
    ipvsadm("-A", "-t", "[2001:db8::1]:443", "-s", "sh", "-p", "60", "-b", "sh-fallback,sh-port")
    ipvsadm("-a", "-t", "[2001:db8::1]:443", "-r", "[2001:db8::7]:443", "-i")
    ipvsadm("-A", "-f", "7", "-s", "lc")
    before = ipvsadm("-S", "-n")
    theirs = servers.read()
    assert {key: each.scheduling.scheduler for key, each in theirs.items()} == {
        ServerAddress(ip_address("192.0.2.1"), Protocol.UDP, 53): "wrr",
        ServerAddress(ip_address("2001:db8::1"), Protocol.TCP, 443): "sh",
        ServerMark(Family.IPV4, 7): "lc",
    }
    udp = theirs[ServerAddress(ip_address("192.0.2.1"), Protocol.UDP, 53)]
    assert udp.destinations == {Destination(ip_address("192.0.2.7"), 53): HeldDestination(3, None)}
    tcp = theirs[ServerAddress(ip_address("2001:db8::1"), Protocol.TCP, 443)]
    assert tcp.scheduling.persistence_seconds == 60
    assert tcp.destinations == {Destination(ip_address("2001:db8::7"), 443): HeldDestination(1, Forwarding.TUNNEL)}
    servers.apply([AddServer(KEY, Scheduling()), AddDestination(KEY, TO), RemoveServer(server(number=9))])
    assert servers.offers("nq")
    servers.apply([RemoveServer(KEY)])
    assert ipvsadm("-S", "-n") == before


def test_ipvsadm_shows_what_was_meant(servers: NetlinkServers) -> None:
    key = server(Family.IPV6)
    servers.apply(
        [
            AddServer(KEY, Scheduling("rr", persistence_seconds=10800)),
            AddDestination(KEY, TO),
            AddServer(key, Scheduling("lc", persistence_seconds=60)),
            AddDestination(key, endpoint(Family.IPV6), 0, Forwarding.TUNNEL),
        ]
    )
    assert sorted(ipvsadm("-S", "-n").replace(" --tun-type ipip", "").splitlines()) == [
        "-A -t 10.96.0.1:80 -s rr -p 10800",
        "-A -t [fd00:96::1]:80 -s lc -p 60",
        "-a -t 10.96.0.1:80 -r 10.244.0.1:8080 -m -w 1",
        "-a -t [fd00:96::1]:80 -r [fd00:244::1]:8080 -i -w 0",
    ]


def test_what_others_made_of_a_server_is_undone(servers: NetlinkServers) -> None:
    servers.apply([AddServer(KEY, Scheduling())])
    ipvsadm("-E", "-t", "10.96.0.1:80", "-s", "sh", "-p", "50")
    servers.apply([EditServer(KEY, Scheduling())])
    assert ipvsadm("-S", "-n") == "-A -t 10.96.0.1:80 -s rr\n"


def test_timeouts_are_set_that_are_given(servers: NetlinkServers) -> None:
    servers.set_timeouts(ConnectionTimeouts(800, 70, 80))
    servers.set_timeouts(ConnectionTimeouts(tcp_fin=60))
    servers.set_timeouts(ConnectionTimeouts())
    assert "800 60 80" in ipvsadm("-L", "--timeout")


def test_an_address_that_no_packet_is_sent_to_is_no_destination(servers: NetlinkServers) -> None:
    nowhere = Destination(ip_address("224.0.0.1"), 80)
    with pytest.raises(KernelRefusal, match=r"destination 224\.0\.0\.1:80 cannot be added .*no packets can be sent"):
        servers.apply([AddServer(KEY, Scheduling()), AddDestination(KEY, nowhere), AddDestination(KEY, TO)])
    assert servers.read() == {KEY: HeldServer(KEY, Scheduling(), {TO: HeldDestination()})}
