"""The single parts of a rule; what they add up to is tested with the verdict."""

from __future__ import annotations

import pytest
from builders import address, block, namespace, node, pod, pods, port, rule

from netpol.model.policies import PodPeer
from netpol.model.ports import Protocol
from netpol.policy.judgement import Connection, End, ExternalEnd, NodeEnd, PodEnd
from netpol.policy.matching import (
    entry_matches,
    namespace_matches,
    peer_matches,
    peers_match,
    ports_match,
    rule_matches,
)

WEB = PodEnd(pod("x/web", "10.0.0.1", labels="app=web", ports="http=8080/TCP"), address("10.0.0.1"))
STRAY = PodEnd(pod("lost/p", "10.0.0.2", labels="app=web"), address("10.0.0.2"))
OUTSIDE = ExternalEnd(address("8.8.8.8"))
NODE = NodeEnd(node("n1", "192.168.0.1"), address("192.168.0.1"))
NAMESPACES = {"x": namespace("x", "team=x")}


def to(destination: End, protocol: Protocol = Protocol.TCP, number: int | None = 8080) -> Connection:
    return Connection(OUTSIDE, destination, protocol, number)


@pytest.mark.parametrize(
    ("entry", "connection", "matches"),
    [
        ("8080/TCP", to(WEB), True),
        ("8080/UDP", to(WEB), False),
        ("8081/TCP", to(WEB), False),
        ("http/TCP", to(WEB), True),
        ("http/TCP", to(WEB, number=80), False),
        ("http/TCP", to(OUTSIDE), False),
        ("http/TCP", to(NODE), False),
        ("*/TCP", to(OUTSIDE), True),
        ("*/TCP", to(WEB, Protocol.ICMP, None), False),
        ("*/TCP", to(WEB, Protocol.TCP, None), False),
    ],
)
def test_v6_v7_an_entry_matches_protocol_and_number(entry: str, connection: Connection, matches: bool) -> None:
    assert entry_matches(port(entry), connection) is matches


def test_v3_no_restriction_matches_and_an_empty_list_does_not() -> None:
    assert ports_match(None, to(OUTSIDE))
    assert not ports_match((), to(OUTSIDE))
    assert ports_match((port("1/TCP"), port("8080/TCP")), to(OUTSIDE))
    assert peers_match(None, OUTSIDE, NAMESPACES)
    assert not peers_match((), OUTSIDE, NAMESPACES)
    assert peers_match((pods("app=web", namespace="x"), block("8.8.8.0/24")), OUTSIDE, NAMESPACES)


def test_b11_v4_a_pod_peer_needs_a_pod_its_namespace_and_its_labels() -> None:
    assert peer_matches(pods("app=web", namespace="x"), WEB, NAMESPACES)
    assert not peer_matches(pods("app=db", namespace="x"), WEB, NAMESPACES)
    assert not peer_matches(pods("app=web", namespace="y"), WEB, NAMESPACES)
    assert peer_matches(pods(namespaces="team=x"), WEB, NAMESPACES)
    assert not peer_matches(pods(namespaces=""), OUTSIDE, NAMESPACES)
    assert not peer_matches(pods(namespaces=""), NODE, NAMESPACES)


def test_v5_a_block_matches_whatever_has_an_address_in_it() -> None:
    assert peer_matches(block("10.0.0.0/8"), WEB, NAMESPACES)
    assert peer_matches(block("192.168.0.0/16"), NODE, NAMESPACES)
    assert not peer_matches(block("10.0.0.0/8", "10.0.0.0/24"), WEB, NAMESPACES)
    assert not peer_matches(block("0.0.0.0/0"), NodeEnd(NODE.node, None), NAMESPACES)


def test_x2_an_unknown_namespace_matches_by_name_but_by_no_selector() -> None:
    assert namespace_matches(PodPeer(namespace="lost"), STRAY, NAMESPACES)
    for namespaces in ("", "!team", "team notin (x)"):
        assert not namespace_matches(pods(namespaces=namespaces), STRAY, NAMESPACES)


def test_b7_a_rule_needs_both_parts() -> None:
    connection = to(WEB)
    outside = [block("8.8.8.8/32")]
    assert rule_matches(rule(outside, ["8080/TCP"]), OUTSIDE, connection, NAMESPACES)
    assert not rule_matches(rule(outside, ["80/TCP"]), OUTSIDE, connection, NAMESPACES)
    assert not rule_matches(rule([block("9.9.9.9/32")], ["8080/TCP"]), OUTSIDE, connection, NAMESPACES)
