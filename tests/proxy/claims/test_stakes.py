"""What a service asks for, told apart as others may want it."""

from __future__ import annotations

from proxy_builders import addresses, server, service

from netpol.model.ports import Protocol
from proxy.claims.stakes import (
    AddressStake,
    Claim,
    NodePortStake,
    ServerStake,
    claims_of,
    node_ports_of,
    server_stake,
    servers_at,
    stakes_of,
)
from proxy.model import Origin

CLUSTER, BALANCED, EXTERNAL = addresses("10.96.0.1 203.0.113.1 198.51.100.1")
FRONT = service(
    "web/front",
    "10.96.0.1",
    ports="http=80:30080/TCP dns=53/UDP",
    external="203.0.113.1 198.51.100.1",
    load_balancer="203.0.113.1",
)
HEADLESS = service("web/front", ports="80:30080/TCP", external="198.51.100.1")


def test_an_address_is_claimed_once_by_the_field_that_goes_first() -> None:
    assert list(claims_of(FRONT)) == [
        Claim(Origin.CLUSTER, CLUSTER, "spec.clusterIPs[0]"),
        Claim(Origin.LOAD_BALANCER, BALANCED, "status.loadBalancer.ingress"),
        Claim(Origin.EXTERNAL, EXTERNAL, "spec.externalIPs[1]"),
    ]


def test_a_port_of_an_address_is_one_server() -> None:
    http, dns = FRONT.ports
    assert servers_at(FRONT, EXTERNAL) == {
        server("198.51.100.1:80/TCP"): http,
        server("198.51.100.1:53/UDP"): dns,
    }
    twice = service("web/front", "10.96.0.1", ports="a=80/TCP b=80/TCP")
    assert servers_at(twice, CLUSTER) == {server("10.96.0.1:80/TCP"): twice.ports[0]}


def test_a_node_port_is_asked_for_by_the_field_of_its_port() -> None:
    twice = service("web/front", "10.96.0.1", ports="dns=53/UDP a=80:30080/TCP b=81:30080/TCP")
    assert node_ports_of(twice) == {
        NodePortStake(Protocol.TCP, 30080): ("spec.ports[1].nodePort", twice.ports[1]),
    }
    assert str(NodePortStake(Protocol.TCP, 30080)) == "30080/TCP"


def test_only_an_external_server_is_sought_within_a_namespace() -> None:
    asked = server("198.51.100.1:80/TCP")
    assert server_stake(FRONT, Origin.EXTERNAL, asked) == ServerStake(Origin.EXTERNAL, asked, "web")
    assert server_stake(FRONT, Origin.LOAD_BALANCER, asked) == ServerStake(Origin.LOAD_BALANCER, asked, "")


def test_who_has_a_cluster_address_has_all_of_it() -> None:
    assert stakes_of(FRONT) == {
        AddressStake(Origin.CLUSTER, CLUSTER),
        AddressStake(Origin.LOAD_BALANCER, BALANCED),
        AddressStake(Origin.EXTERNAL, EXTERNAL),
        ServerStake(Origin.LOAD_BALANCER, server("203.0.113.1:80/TCP"), ""),
        ServerStake(Origin.LOAD_BALANCER, server("203.0.113.1:53/UDP"), ""),
        ServerStake(Origin.EXTERNAL, server("198.51.100.1:80/TCP"), "web"),
        ServerStake(Origin.EXTERNAL, server("198.51.100.1:53/UDP"), "web"),
        NodePortStake(Protocol.TCP, 30080),
    }


def test_a_service_without_a_cluster_address_wants_nothing() -> None:
    assert (list(claims_of(HEADLESS)), node_ports_of(HEADLESS), stakes_of(HEADLESS)) == ([], {}, frozenset())
    assert stakes_of(None) == frozenset()
