"""How many rules a packet meets on a full node: 250 isolated pods under 1,000 policies."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from ipaddress import IPv4Network, IPv6Network
from statistics import mean

import pytest
from builders import BOTH, address, block, namespace, node, pod, pods, policy, rule
from tracer import Outcome, Packet, State, Trace, Tracer

from netpol.compiler.compile import compile_ruleset
from netpol.compiler.ruleset import FILTER_HOOKS, Hook
from netpol.model.networks import Address, Family, family_of
from netpol.model.objects import Pod
from netpol.model.policies import Policy
from netpol.model.ports import Protocol
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import AuditLevel, DenyAction, Treatment
from netpol.settings import NodeOptions

POD_COUNT = 250
POLICIES_PER_POD = 4
ONE_SIDE, BOTH_SIDES, LIVING = 20, 32, 3
"""The most rules a packet may meet: an opening judged for one pod, for two, and one of a living connection."""

OUTSIDE = {Family.IPV4: address("198.51.100.7"), Family.IPV6: address("2001:db8:7::7")}
CLIENTS = {Family.IPV4: block("198.51.100.0/24", "198.51.100.128/25"), Family.IPV6: block("2001:db8:7::/48")}
REFUSED_PORT = 9999


def _sequential() -> list[Address]:
    return [address("10.0.0.2") + index for index in range(POD_COUNT)]


def _scattered() -> list[Address]:
    network = IPv4Network("10.1.0.0/16")
    return [network[offset] for offset in random.Random(7).sample(range(1, network.num_addresses - 1), POD_COUNT)]


def _scattered_v6() -> list[Address]:
    network = IPv6Network("fd00::/64")
    return [network[random.Random(index).getrandbits(64)] for index in range(POD_COUNT)]


LAYOUTS = {
    "sequential": _sequential,
    "scattered in a /16": _scattered,
    "scattered in an IPv6 /64": _scattered_v6,
}


def _port(index: int, which: int) -> int:
    """The port of one of a pod's policies: two are its group's, the others its own."""
    return 8000 + 10 * (index % 10) + which if which < 2 else 10000 + 10 * index + which


def _policies(index: int) -> Iterator[Policy]:
    """The pod's policies, each for a port: its group in every namespace, and what is outside."""
    neighbours = pods(f"group=g{index % 10}", namespaces="")
    for which in range(POLICIES_PER_POD):
        allowed = rule([neighbours, *CLIENTS.values()], [f"{_port(index, which)}/TCP"])
        yield policy(
            f"team-{index % 5}/p{index}-{which}", f"id=i{index}", ingress=[allowed], egress=[allowed], directions=BOTH
        )


class Full:
    """A full node with the pods at these addresses."""

    def __init__(self, addresses: list[Address], treatment: Treatment) -> None:
        self.family = family_of(addresses[0])
        self.pods: list[Pod] = [
            pod(f"team-{index % 5}/pod-{index}", str(each), labels=f"id=i{index} group=g{index % 10}", node="n1")
            for index, each in enumerate(addresses)
        ]
        policies = [each for index in range(POD_COUNT) for each in _policies(index)]
        assert (len(self.pods), len(policies)) == (250, 1000)
        snapshot = Snapshot.of(
            [namespace(f"team-{index}") for index in range(5)],
            self.pods,
            [node("n1", "192.0.2.10", pod_cidrs=["10.0.0.0/16", "fd00::/64"])],
            policies,
        )
        self._tracer = Tracer(compile_ruleset(snapshot, NodeOptions("n1", treatment=treatment)))

    def traces(self, source: Address, destination: Address, ports: list[int]) -> list[Trace]:
        """The ways of opening packets to these ports."""
        packets = [Packet(source, destination, Protocol.TCP, port) for port in ports]
        return [self._tracer.trace(self.family, Hook.FORWARD, packet) for packet in packets]

    def living(self, packet: Packet) -> list[Trace]:
        """The way of a packet at every hook."""
        return [self._tracer.trace(self.family, hook, packet) for hook in FILTER_HOOKS]


TREATMENTS = {
    "as usual": Treatment(),
    "allows recorded and refusals told": Treatment(AuditLevel.ALLOWS, DenyAction.REJECT),
}


@cache
def full(layout: str, treatment: str = "as usual") -> Full:
    return Full(LAYOUTS[layout](), TREATMENTS[treatment])


def assert_within(limit: int, traces: list[Trace]) -> None:
    """No packet met more rules than the limit, and packets of both outcomes were tried."""
    assert {trace.verdict.is_refusal for trace in traces} == {False, True}
    counts = [trace.rules_met for trace in traces]
    worst = max(traces, key=lambda trace: trace.rules_met)
    assert max(counts) <= limit, f"at most {max(counts)} and {mean(counts):.1f} on average; the longest way: {worst}"


def ports_of(index: int) -> list[int]:
    return [*(_port(index, which) for which in range(POLICIES_PER_POD)), REFUSED_PORT]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("treatment", TREATMENTS)
def test_an_opening_judged_on_one_side(layout: str, treatment: str) -> None:
    node_ = full(layout, treatment)
    outside = OUTSIDE[node_.family]
    traces: list[Trace] = []
    for index, each in enumerate(node_.pods):
        traces += node_.traces(outside, each.addresses[0], ports_of(index))
        traces += node_.traces(each.addresses[0], outside, ports_of(index))
    assert_within(ONE_SIDE, traces)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("treatment", TREATMENTS)
def test_an_opening_judged_on_both_sides(layout: str, treatment: str) -> None:
    """Pods of a group let each other in and out on the group's ports; nobody else does on any."""
    node_ = full(layout, treatment)
    traces: list[Trace] = []
    for index, each in enumerate(node_.pods):
        for other in (index + 1, index + 10, index + 100, index - 1):
            peer = node_.pods[other % POD_COUNT]
            ports = [*ports_of(index), *ports_of(other % POD_COUNT)]
            traces += node_.traces(each.addresses[0], peer.addresses[0], ports)
    assert_within(BOTH_SIDES, traces)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_packet_of_a_living_connection(layout: str) -> None:
    node_ = full(layout)
    for each in node_.pods:
        packet = Packet(OUTSIDE[node_.family], each.addresses[0], Protocol.TCP, 80, opening=False)
        for state in (State.ESTABLISHED, State.RELATED):
            for trace in node_.living(Packet(packet.source, packet.destination, Protocol.TCP, 80, state=state)):
                assert trace.verdict is Outcome.ACCEPTED
                assert trace.rules_met <= LIVING, str(trace)
