"""The sentences that Events have for what a service does not get."""

from __future__ import annotations

from builders import address
from proxy_builders import service_port

from netpol.model.networks import parse_network
from netpol.model.ports import PortRange, Protocol
from proxy.claims import refusals
from proxy.claims.stakes import NodePortStake
from proxy.model import Origin

HOLDER = "db", "main"
OUTSIDE, NODE_PORT = address("198.51.100.1"), NodePortStake(Protocol.TCP, 30080)
RANGES = [parse_network(f"198.51.{number}.0/24") for number in range(4)]


def test_every_refusal_says_what_comes_of_it() -> None:
    refused = refusals.unserved(refusals.address_taken(OUTSIDE, refusals.OWN_ADDRESS))
    assert refused == "198.51.100.1 is an address of this node; it is not served"


def test_what_an_address_is_to_another_service() -> None:
    assert [
        refusals.cluster_address(HOLDER),
        refusals.older_cluster_address(HOLDER),
        refusals.load_balancer_address(HOLDER),
        refusals.older_external_address(HOLDER),
    ] == [
        "the cluster address of service db/main",
        "the cluster address of service db/main, which comes first",
        "the load balancer's address of service db/main",
        "an external address of service db/main, which comes first",
    ]


def test_what_an_address_is_to_the_cluster() -> None:
    assert [
        refusals.node_address("n1"),
        refusals.in_pod_range(RANGES[0], "n1"),
        refusals.in_pod_range(RANGES[0], ""),
        refusals.in_cluster_range(RANGES[0]),
    ] == [
        "an address of node n1",
        "in 198.51.0.0/24, which is for the pods of node n1",
        "in 198.51.0.0/24, which is for pods",
        "in 198.51.0.0/24, where cluster addresses are",
    ]


def test_where_an_address_is_not() -> None:
    assert [
        refusals.outside_ranges(RANGES[:1], Origin.EXTERNAL),
        refusals.outside_ranges(RANGES[:3], Origin.LOAD_BALANCER),
        refusals.outside_ranges(RANGES, Origin.EXTERNAL),
    ] == [
        "outside 198.51.0.0/24, where external addresses are",
        "outside 198.51.0.0/24, 198.51.1.0/24 and 198.51.2.0/24, where load balancers' addresses are",
        "outside 198.51.0.0/24, 198.51.1.0/24 and 2 more, where external addresses are",
    ]


def test_ports() -> None:
    assert [
        refusals.port_taken(service_port("http=80/TCP"), OUTSIDE, HOLDER),
        refusals.node_port_taken(NODE_PORT, HOLDER),
        refusals.node_port_outside(NODE_PORT, PortRange(31000, 32000)),
    ] == [
        "port 80/TCP of 198.51.100.1 is service db/main's, which comes first",
        "30080/TCP is the node port of service db/main, which comes first",
        "30080/TCP is outside 31000-32000, where node ports are",
    ]
