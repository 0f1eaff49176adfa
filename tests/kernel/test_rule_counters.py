"""On a full node, packets meet in the kernel exactly the rules that the tests' tracer walks, and few of them."""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from bench.manifests import NODE, Size, write_cluster
from forked import Command
from tracer import Outcome, Packet, State, Trace, Tracer

from netpol.compiler.compile import compile_ruleset
from netpol.compiler.names import ICMPV6, hook_chain
from netpol.compiler.ruleset import Hook, Ruleset
from netpol.dataplane.iptables import tool_name
from netpol.lab.lab import Lab
from netpol.lab.listeners import open_socket
from netpol.lab.topology import Endpoint, Outside
from netpol.model.networks import Address, Family, parse_address
from netpol.model.objects import Node, Pod
from netpol.model.policies import Direction
from netpol.model.ports import Protocol
from netpol.model.snapshot import Snapshot
from netpol.policy.resolve import Resolver
from netpol.settings import NodeOptions, PolicyOptions, Variant
from netpol.source.manifests import load

pytestmark = pytest.mark.kernel

SIZE = Size(local=250, pods=500, policies=1000)
MOST_NEW_ON_ONE_SIDE, MOST_NEW_ON_BOTH, MOST_ESTABLISHED = 20, 32, 3
PLUGGED_ONE_IN = 80
"""So many of the local pods have a namespace: these send and receive, the others are only addresses in the rules."""

NOT_FORWARDED = {Hook.INPUT.value, Hook.OUTPUT.value, hook_chain(Hook.INPUT), hook_chain(Hook.OUTPUT), ICMPV6}

CLIENT = Outside("client", (parse_address("203.0.113.9"), parse_address("2001:db8:9::9")))
PORTS = (8000, 443)

_COUNTED = re.compile(r"\[(\d+):\d+\] -A (\S+)")


@dataclass(frozen=True, slots=True)
class FullNode:
    """The measured node, programmed for real, and what it was programmed with."""

    lab: Lab
    snapshot: Snapshot
    ruleset: Ruleset
    variant: Variant

    def saved(self, family: Family) -> str:
        """The family's filter table, with counters."""
        tool = tool_name(self.variant, family, "save")
        done = self.lab.namespace(f"node/{NODE}").run([tool, "-c", "-t", "filter"])
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module", params=list(Variant), ids=lambda variant: variant.value)
def full(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, namespaces: None
) -> Iterator[FullNode]:
    directory, snapshot = full_cluster(tmp_path_factory.getbasetemp())
    local = [pod for pod in snapshot.pods.values() if pod.node == NODE]
    remote = next(pod for pod in snapshot.pods.values() if pod.node != NODE)
    # The measured node has no address in its pods' range: the manifests give all of them to pods.
    nodes = [Node(name, snapshot.nodes[name].addresses) for name in (NODE, remote.node)]
    with Lab(nodes, [*local[::PLUGGED_ONE_IN], remote], [CLIENT]) as lab:
        arguments = ["run", "--once", "--source", str(directory), "--hostname-override", NODE]
        chosen = ["--iptables-variant", request.param.value]
        answer = Command(lab.namespace(f"node/{NODE}"), [*arguments, *chosen]).wait()
        assert answer.returncode == 0, answer.stderr
        yield FullNode(lab, snapshot, compile_ruleset(snapshot, NodeOptions(NODE)), request.param)


@cache
def full_cluster(base: Path) -> tuple[Path, Snapshot]:
    """The cluster's manifests, written and read once for both variants."""
    directory = base / "full-cluster"
    directory.mkdir()
    write_cluster(directory, SIZE)
    return directory, load(directory, PolicyOptions()).snapshot


def test_the_node_is_full_of_isolated_pods(full: FullNode) -> None:
    local = [pod for pod in full.snapshot.pods.values() if pod.node == NODE]
    resolver = Resolver(full.snapshot)
    isolated = [pod for pod in local if resolver.standing(pod).isolated == frozenset(Direction)]
    assert len(local) == SIZE.local
    assert len(isolated) > 0.9 * SIZE.local
    assert len(full.snapshot.policies) == SIZE.policies


@pytest.mark.parametrize("family", list(Family), ids=lambda family: family.name)
def test_the_rules_whose_counters_move_are_those_the_tracer_names(full: FullNode, family: Family) -> None:
    tracer = Tracer(full.ruleset)
    verdicts = set()
    before = met(full, family)
    for source, destination, port in samples(full, family):
        packet = Packet(source.address, destination.address, Protocol.UDP, port, local=own(full))
        expected = tracer.trace(family, Hook.FORWARD, packet)
        arrived = send_one(source, destination, port)
        assert arrived is (expected.verdict is Outcome.ACCEPTED), f"{source} -> {destination}:{port}: {expected}"
        after = met(full, family)
        moved = {rule for rule, packets in after.items() if packets != before[rule]}
        assert moved == named(expected), f"{source} -> {destination}:{port}: {expected}"
        before = after
        verdicts.add(expected.verdict)
    assert verdicts == {Outcome.ACCEPTED, Outcome.DROPPED}


@pytest.mark.parametrize("family", list(Family), ids=lambda family: family.name)
def test_these_packets_meet_few_rules(full: FullNode, family: Family) -> None:
    tracer = Tracer(full.ruleset)
    for source, destination, port in samples(full, family):
        packet = Packet(source.address, destination.address, Protocol.UDP, port, local=own(full))
        both = all(end.name in full.lab.pods and full.lab.pods[end.name].node == NODE for end in (source, destination))
        most = MOST_NEW_ON_BOTH if both else MOST_NEW_ON_ONE_SIDE
        opening = tracer.trace(family, Hook.FORWARD, packet)
        living = tracer.trace(family, Hook.FORWARD, replace(packet, state=State.ESTABLISHED))
        assert opening.rules_met <= most, opening
        assert living.rules_met <= MOST_ESTABLISHED, living


def samples(full: FullNode, family: Family) -> Iterator[tuple[Endpoint, Endpoint, int]]:
    """Pairs of local pods, of a local pod and another node's, and of one and a host outside, each on every port."""
    plugged = [full.lab.endpoint(name, family) for name in full.lab.pods]
    local = [end for end in plugged if full.lab.pods[end.name].node == NODE]
    others = [end for end in plugged if end not in local] + [full.lab.endpoint("outside/client", family)]
    pairs = [
        *pairwise(local),
        *((local[0], end) for end in others),
        *((end, local[-1]) for end in others),
    ]
    for pair in pairs:
        for port in (*PORTS, *http_ports(full, pair[1])):
            yield *pair, port


def http_ports(full: FullNode, end: Endpoint) -> Iterator[int]:
    """The numbers that the destination itself gives names."""
    pod: Pod | None = full.lab.pods.get(end.name)
    return iter(()) if pod is None else (port.number for port in pod.ports)


def own(full: FullNode) -> frozenset[Address]:
    """The node's own addresses."""
    return frozenset(full.lab.nodes[NODE].addresses)


def send_one(source: Endpoint, destination: Endpoint, port: int) -> bool:
    """True where the one datagram that is sent arrives."""
    with open_socket(destination, socket.SOCK_DGRAM) as listening, open_socket(source, socket.SOCK_DGRAM) as sending:
        listening.bind((str(destination.address), port))
        sending.bind((str(source.address), source.namespace.fresh_source_port()))
        sending.sendto(b"?", (str(destination.address), port))
        # One kernel carries it through all namespaces before the sender goes on, unless a neighbour is asked for first.
        listening.settimeout(0.1)
        try:
            return listening.recv(16) == b"?"
        except TimeoutError:
            return False


def met(full: FullNode, family: Family) -> dict[tuple[str, int], int]:
    """How many packets each rule on the way through the node has met, by its chain and its place there.

    What the node and its neighbours say to each other meets others, and those of neighbour discovery.
    """
    found: dict[tuple[str, int], int] = {}
    length: Counter[str] = Counter()
    for line in full.saved(family).splitlines():
        counted = _COUNTED.match(line)
        if counted is None:
            continue
        packets, chain = int(counted[1]), counted[2]
        if chain not in NOT_FORWARDED:
            found[chain, length[chain]] = packets
            length[chain] += 1
    return found


def named(expected: Trace) -> set[tuple[str, int]]:
    """The rules that match on the packet's way."""
    return {(step.chain, step.index) for step in expected.path}
