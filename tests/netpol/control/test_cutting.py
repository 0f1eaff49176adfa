"""Which living connections are denied: judged at the ends on this node, and nowhere else (G11)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import BOTH, EGRESS, address, namespace, node, pod, pods, policy, rule

from netpol.control.cutting import denied_flows
from netpol.dataplane.kernel import Flow
from netpol.model.networks import IPBlock, parse_network
from netpol.model.ports import Protocol
from netpol.model.snapshot import Snapshot

WORLD = Snapshot.of(
    [namespace("x")],
    [
        pod("x/server", "10.0.0.2", "fd00::2", labels="app=server", node="n1"),
        pod("x/friend", "10.0.0.3", "fd00::3", labels="app=friend", node="n1"),
        pod("x/other", "10.0.0.4", labels="app=other", node="n1"),
        pod("x/far", "10.0.1.2", labels="app=server", node="n2"),
    ],
    [node("n1", "192.0.2.1"), node("n2", "192.0.2.2")],
    [
        policy(
            "x/p",
            "app=server",
            ingress=[rule([pods("app=friend")], ["80/TCP", "53/UDP"])],
            egress=[rule([pods("app=friend")])],
            directions=BOTH,
        )
    ],
)
BRIDGE = address("10.0.0.1")
LOCAL = frozenset({BRIDGE, address("192.0.2.1"), address("127.0.0.1")})


def flow(source: str, destination: str, protocol: Protocol | None = Protocol.TCP, port: int | None = 80) -> Flow:
    return Flow(address(source), address(destination), protocol, port, handle=f"{source}>{destination}".encode())


DENIED = {
    "from a pod that is not allowed": flow("10.0.0.4", "10.0.0.2"),
    "to a port that is not": flow("10.0.0.3", "10.0.0.2", port=81),
    "of a protocol that is not": flow("10.0.0.3", "10.0.0.2", Protocol.SCTP),
    "pings": flow("10.0.0.3", "10.0.0.2", Protocol.ICMP, None),
    "of a protocol that no policy can name": flow("10.0.0.3", "10.0.0.2", None, None),
    "from outside": flow("198.51.100.7", "10.0.0.2"),
    "from another node": flow("192.0.2.2", "10.0.0.2"),
    "to what the pod may not reach": flow("10.0.0.2", "198.51.100.7"),
    "to its own node": flow("10.0.0.2", "192.0.2.1"),
    "to its bridge": flow("10.0.0.2", "10.0.0.1"),
    "of IPv6": flow("2001:db8::1", "fd00::2"),
}
ALLOWED = {
    "from a pod that is": flow("10.0.0.3", "10.0.0.2"),
    "of UDP": flow("10.0.0.3", "10.0.0.2", Protocol.UDP, 53),
    "of IPv6": flow("fd00::3", "fd00::2"),
    "to what the pod may reach": flow("10.0.0.2", "10.0.0.3", port=9999),
    "of a protocol that no policy can name, by a rule without ports": flow("10.0.0.2", "10.0.0.3", None, None),
    "of pods that nothing isolates": flow("10.0.0.4", "10.0.0.3"),
    "from its own node": flow("192.0.2.1", "10.0.0.2"),
    "from its bridge": flow("10.0.0.1", "10.0.0.2"),
    "to itself": flow("10.0.0.2", "10.0.0.2"),
    "that another node judges": flow("198.51.100.7", "10.0.1.2"),
    "that no pod has a part in": flow("198.51.100.7", "192.0.2.1"),
}


@pytest.mark.parametrize("denied", DENIED.values(), ids=DENIED)
def test_a_connection_is_denied(denied: Flow) -> None:
    assert denied_flows(WORLD, "n1", LOCAL, [denied]) == [denied]


@pytest.mark.parametrize("allowed", ALLOWED.values(), ids=ALLOWED)
def test_a_connection_lives_on(allowed: Flow) -> None:
    assert denied_flows(WORLD, "n1", LOCAL, [allowed]) == []


def test_an_end_on_another_node_is_that_nodes_to_judge() -> None:
    to_far = flow("10.0.0.4", "10.0.1.2")
    assert denied_flows(WORLD, "n1", LOCAL, [to_far]) == []
    assert denied_flows(WORLD, "n2", frozenset(), [to_far]) == [to_far]


def test_a_node_that_the_manifests_do_not_know_is_still_itself() -> None:
    """G8: whichever of its addresses is the source."""
    unknown = Snapshot(WORLD.namespaces, WORLD.pods, {}, WORLD.policies)
    assert denied_flows(unknown, "n1", LOCAL, [flow("10.0.0.1", "10.0.0.2")]) == []
    assert denied_flows(unknown, "n1", frozenset(), [flow("10.0.0.1", "10.0.0.2")]) != []


def test_only_the_denied_ones_are_told_and_in_order() -> None:
    flows = [*DENIED.values(), *ALLOWED.values(), *DENIED.values()]
    assert denied_flows(WORLD, "n1", LOCAL, flows) == [*DENIED.values(), *DENIED.values()]


VIP = address("10.96.0.1")


@pytest.mark.parametrize(
    ("block", "port", "is_allowed"),
    [("10.96.0.1/32", "443/TCP", True), ("10.96.0.1/32", "6443/TCP", False), ("192.0.2.1/32", "*/TCP", False)],
)
def test_what_ipvs_hands_up_here_is_judged_by_the_services_address(block: str, port: str, is_allowed: bool) -> None:
    """X5: as INPUT judged it; what it sends on, by the endpoint's."""
    to_block = policy("x/p", "app=other", egress=[rule([IPBlock(parse_network(block))], [port])], directions=EGRESS)
    world = Snapshot.of(WORLD.namespaces.values(), WORLD.pods.values(), WORLD.nodes.values(), [to_block])
    handed_up = replace(flow("10.0.0.4", "192.0.2.1", port=6443), asked=(VIP, 443))
    seen = replace(handed_up, destination=VIP, port=443, asked=None)
    for local in (LOCAL, LOCAL | {VIP}):
        assert denied_flows(world, "n1", local, [handed_up]) == ([] if is_allowed else [seen])
    sent_on = replace(flow("10.0.0.4", "10.0.0.3"), asked=(VIP, 443))
    assert denied_flows(world, "n1", LOCAL, [sent_on]) == [sent_on]
