"""Virtual servers as values."""

from __future__ import annotations

from proxy_builders import destination, server

from netpol.model.networks import Family
from netpol.model.ports import Protocol
from proxy.model import Forwarding, HeldDestination, HeldServer, Origin, Scheduling, ServerMark, Traffic, VirtualServer

VIP, MARK = server("10.96.0.1:80/TCP"), ServerMark(Family.IPV6, 0x4E000001)


def test_keys_say_what_clients_ask_for() -> None:
    assert (VIP.family, server("[fd00::1]:53/UDP").family) == (Family.IPV4, Family.IPV6)
    assert [str(VIP), str(server("[fd00::1]:53/UDP")), str(MARK)] == [
        "10.96.0.1:80/TCP",
        "[fd00::1]:53/UDP",
        "mark 0x4e000001 of IPv6",
    ]
    assert [str(destination("10.1.0.1:8080")), str(destination("[fd00::2]:53"))] == ["10.1.0.1:8080", "[fd00::2]:53"]


def test_what_a_mark_carries_the_mark_alone_knows() -> None:
    assert VirtualServer(VIP, Origin.CLUSTER).protocol is Protocol.TCP
    assert VirtualServer(MARK, Origin.EXTERNAL, forwarding=Forwarding.TUNNEL).protocol is None


def test_what_passes_through_makes_no_other_server() -> None:
    busy = HeldDestination(active=2, inactive=3, persistent=1)
    assert busy.connections == 6
    assert busy == HeldDestination()
    assert busy != HeldDestination(weight=0)
    assert HeldServer(VIP, Scheduling(), traffic=Traffic(connections=9)) == HeldServer(VIP, Scheduling())


def test_what_each_origin_means_for_who_serves_it() -> None:
    assert [each for each in Origin if each.takes_external_traffic] == [
        Origin.NODE_PORT,
        Origin.EXTERNAL,
        Origin.LOAD_BALANCER,
    ]
    assert [each for each in Origin if each.has_outside_address] == [Origin.EXTERNAL, Origin.LOAD_BALANCER]
    assert [each for each in Origin if each.may_be_others] == [Origin.EXTERNAL, Origin.LOAD_BALANCER]


def test_a_destination_without_weight_drains() -> None:
    assert HeldDestination(weight=0).is_draining
    assert not HeldDestination(weight=1).is_draining
    assert not HeldDestination(weight=100).is_draining
