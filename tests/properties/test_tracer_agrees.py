"""The compiled rules against the oracle: every node judges exactly its own pods, as the policies say.

A packet passes the hooks of the nodes on its way; at each of them it is refused iff the
oracle refuses one of the sides whose pod is on that node, or the address is of the
node's pod range and no known pod's (G12). The rules that log it on the way say of each
pod what the oracle does, as far as it is to be recorded (X16, X17).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import pytest
from builders import EGRESS, address, block, namespace, node, pod, pods, policy, rule
from hypothesis import given, settings
from hypothesis import strategies as st
from tracer import Outcome, Packet, State, Trace, Tracer, trace
from worlds import NODE_NAMES, all_addresses, own_addresses, snapshots

from netpol.compiler.compile import compile_ruleset
from netpol.compiler.log_points import LoggedOutcome, LogPoint, pod_digest
from netpol.compiler.ruleset import Hook
from netpol.model.networks import Address, family_of, parse_network
from netpol.model.objects import Namespace, Pod
from netpol.model.policies import Policy, Semantics
from netpol.model.ports import Protocol
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import AuditLevel, DenyAction, Enforcement, Treatment
from netpol.policy.judgement import Connection, Decision, End, NodeEnd, PodEnd, Reason, Verdict
from netpol.policy.verdict import Oracle
from netpol.settings import NodeOptions

PROBES_PER_WORLD = 40
USUAL = Treatment()
PORTS: tuple[tuple[Protocol, int | None], ...] = (
    (Protocol.TCP, 80),
    (Protocol.TCP, 81),
    (Protocol.TCP, 53),
    (Protocol.UDP, 53),
    (Protocol.UDP, 80),
    (Protocol.SCTP, 80),
    (Protocol.TCP, 60000),
    (Protocol.ICMP, None),
)


@dataclass(frozen=True)
class Probe:
    """An opening packet between two addresses."""

    source: Address
    destination: Address
    protocol: Protocol
    port: int | None


@dataclass(frozen=True)
class Hop:
    """A hook of a node that a packet passes."""

    node: str
    hook: Hook


class Cluster:
    """A world with every node's compiled rules."""

    def __init__(self, snapshot: Snapshot, *, fail_open: bool = True, usual: Treatment = USUAL) -> None:
        """`usual` is how nodes treat pods whose namespace says nothing else."""
        self.snapshot = snapshot
        self.fail_open = fail_open
        self.usual = usual
        self.oracle = Oracle(snapshot)
        self.local = {name: own_addresses(snapshot, name) for name in NODE_NAMES}
        options = (NodeOptions(name, fail_open=fail_open, treatment=usual) for name in NODE_NAMES)
        self.tracers = {each.name: Tracer(compile_ruleset(snapshot, each)) for each in options}

    def trace(self, hop: Hop, packet: Packet) -> Trace:
        """What the hop does with the packet."""
        packet = replace(packet, local=self.local[hop.node])
        return self.tracers[hop.node].trace(family_of(packet.source), hop.hook, packet)

    def every_probe(self) -> Iterator[Probe]:
        """Every probe between two addresses of the world, or of nobody, of one family."""
        addresses = all_addresses(self.snapshot)
        pairs = [(a, b) for a in addresses for b in addresses if a.version == b.version]
        return (Probe(source, destination, *port) for source, destination in pairs for port in PORTS)

    def probes(self, salt: int) -> list[Probe]:
        """Some of all probes with a pod at an end, half of them between pods.

        Whether one is among them hangs on itself only, so that examples shrink.
        """
        held = {each for known in self.snapshot.pods.values() for each in known.addresses}
        between: list[Probe] = []
        at_the_edge: list[Probe] = []
        for probe in self.every_probe():
            ends = (probe.source in held) + (probe.destination in held)
            if ends:
                (between if ends == 2 and probe.source != probe.destination else at_the_edge).append(probe)
        return [*_some(between, salt), *_some(at_the_edge, salt)]

    def passages(self, salt: int) -> Iterator[tuple[Probe, Hop]]:
        """The same probes at every hop they can pass."""
        for probe in self.probes(salt):
            for hop in hops(self.oracle.end_at(probe.source), self.oracle.end_at(probe.destination)):
                yield probe, hop

    def treatment(self, pod: Pod) -> Treatment:
        """How verdicts on the pod are treated (X17)."""
        known = self.snapshot.namespaces.get(pod.namespace, Namespace(pod.namespace))
        return known.treatment(self.usual)

    def unknown(self, name: str, address: Address) -> bool:
        """True where G12 refuses the address on that node: it stands for no pod anywhere (X1)."""
        if self.fail_open or address in self.local[name] or name not in self.snapshot.nodes:
            return False
        in_range = any(address in cidr for cidr in self.snapshot.nodes[name].pod_cidrs)
        return in_range and not isinstance(self.oracle.end_at(address), PodEnd)


def _some(probes: Sequence[Probe], salt: int) -> Iterator[Probe]:
    """About half of a world's share, all of these."""
    share = PROBES_PER_WORLD / 2 / (len(probes) + 1) * 2**32
    for probe in probes:
        port = f"{salt} {probe.protocol.value} {probe.port}"
        if crc32(probe.source.packed + probe.destination.packed + port.encode()) < share:
            yield probe


def packet_of(probe: Probe) -> Packet:
    return Packet(probe.source, probe.destination, probe.protocol, probe.port)


def hops(source: End, destination: End) -> Iterator[Hop]:
    """Every hook of every node that a packet between these ends can pass.

    What is not to or from a node's own address is forwarded by it, or comes out of its service proxy (X5).
    """
    for name in NODE_NAMES:
        sends, receives = (isinstance(end, NodeEnd) and end.node.name == name for end in (source, destination))
        if receives:
            yield Hop(name, Hook.INPUT)
        if not sends and not receives:
            yield Hop(name, Hook.FORWARD)
        if not receives:
            yield Hop(name, Hook.OUTPUT)


def pod_on(name: str, end: End) -> Pod | None:
    return end.pod if isinstance(end, PodEnd) and end.pod.node == name else None


def assert_hops_agree(cluster: Cluster, probe: Probe) -> None:
    """Each hop refuses what a pod of its own node refuses, and together they allow what the oracle allows."""
    source, destination = cluster.oracle.end_at(probe.source), cluster.oracle.end_at(probe.destination)
    verdict = cluster.oracle.judge(Connection(source, destination, probe.protocol, probe.port))
    outcomes = []
    for hop in hops(source, destination):
        expected = fate(cluster, probe, hop, verdict)
        found = cluster.trace(hop, packet_of(probe))
        where = f"{probe} at {hop}: {found}\n{verdict}\nfrom {source}\nto {destination}"
        assert (found.verdict, list(found.points)) == expected, where
        outcomes.append(found.verdict)
    on_nodes = all(not isinstance(end, PodEnd) or end.pod.node in NODE_NAMES for end in (source, destination))
    if on_nodes and cluster.fail_open:
        assert any(outcome.is_refusal for outcome in outcomes) is not verdict.allowed, f"{probe}: {verdict}"


def fate(cluster: Cluster, probe: Probe, hop: Hop, verdict: Verdict) -> tuple[Outcome, list[LogPoint]]:
    """What is to become of the probe at the hop, and what the rules that log it are to say, in their order."""
    points: list[LogPoint] = []
    for own, decision in ((probe.source, verdict.egress), (probe.destination, verdict.ingress)):
        judged = pod_on(hop.node, cluster.oracle.end_at(own))
        if judged is None:
            continue
        treatment = cluster.treatment(judged)
        if outcome := logged(decision, treatment.audit):
            points.append(LogPoint(outcome, decision.direction, pod_digest(judged.namespace, judged.name)))
        if not decision.allowed:
            return _REFUSED[treatment.deny_action], points
    from_node = hop.hook is Hook.OUTPUT and probe.source in cluster.local[hop.node]
    if not from_node and any(cluster.unknown(hop.node, each) for each in (probe.source, probe.destination)):
        return Outcome.DROPPED, [*points, LogPoint(LoggedOutcome.UNKNOWN_ADDRESS)]
    return Outcome.ACCEPTED, points


def logged(decision: Decision, level: AuditLevel) -> LoggedOutcome | None:
    """What is recorded of the decision (X16, X17); None for nothing."""
    if level is AuditLevel.NONE:
        return None
    if not decision.allowed:
        return LoggedOutcome.DENIED
    if decision.would_deny is not None:
        return LoggedOutcome.WOULD_BE_DENIED
    return LoggedOutcome.ALLOWED if decision.reason is Reason.RULE and level is AuditLevel.ALLOWS else None


_REFUSED = {DenyAction.DROP: Outcome.DROPPED, DenyAction.REJECT: Outcome.REJECTED}
TREATMENTS = st.builds(Treatment, st.sampled_from(AuditLevel), st.sampled_from(DenyAction))


@settings(max_examples=500)
@given(snapshots(), st.integers(0, 255), st.booleans(), TREATMENTS)
def test_every_hop_of_a_new_connection_agrees_with_the_oracle(
    snapshot: Snapshot, salt: int, fail_open: bool, usual: Treatment
) -> None:
    cluster = Cluster(snapshot, fail_open=fail_open, usual=usual)
    for probe in cluster.probes(salt):
        assert_hops_agree(cluster, probe)


PAIR = (
    pod("x/a", "10.0.0.2", "fd00::2", labels="app=a", ports="web=80/TCP web=53/UDP", node="n1"),
    pod("x/b", "10.0.0.10", "fd00::a", labels="app=b", ports="web=81/TCP web=80/SCTP", node="n2"),
    pod("y/c", "10.0.0.3", labels="app=c", ports="web=80/UDP", node="n1"),
)
CORNERS = {
    "a named port of anybody (V7)": [policy("x/p", egress=[rule(ports=["web/TCP", "web/UDP"])], directions=EGRESS)],
    "a named port of a block": [policy("x/p", egress=[rule([block("10.0.0.8/29")], ["web/TCP"])], directions=EGRESS)],
    "a named port of nothing": [policy("x/p", egress=[rule([], ["web/TCP"])], directions=EGRESS)],
    "named ports of some and of anybody": [
        policy("x/p", egress=[rule([pods("app=b")], ["web/TCP"]), rule(ports=["web/SCTP"])], directions=EGRESS)
    ],
    "a named port beside a peer's every port": [
        policy(
            "x/p", egress=[rule([pods()], ["web/TCP"]), rule([pods("app=a")]), rule([block("0.0.0.0/0")], ["*/UDP"])]
        )
    ],
    "a port's name on the pod itself": [policy("x/p", ingress=[rule(ports=["web/TCP", "web/SCTP"])])],
    "a default route without one half": [policy("x/p", ingress=[rule([block("0.0.0.0/0", "0.0.0.0/1")])])],
    "a default route without both": [policy("x/p", ingress=[rule([block("::/0", "::/1", "8000::/1")])])],
    "a hole that another block fills (V5)": [
        policy("x/p", ingress=[rule([block("10.0.0.0/8", "10.0.0.0/29"), block("10.0.0.0/30")])]),
        policy("x/q", egress=[rule([block("10.0.0.0/8", "10.0.0.0/29"), block("10.0.0.0/8", "10.0.0.8/29")])]),
    ],
    "a hole in a hole": [policy("x/p", egress=[rule([block("0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/24")])])],
}


@pytest.mark.parametrize("policies", CORNERS.values(), ids=CORNERS)
def test_every_hop_agrees_in_a_corner(policies: list[Policy]) -> None:
    nodes = [node("n1", "192.0.2.10", "2001:db8::a"), node("n2", "192.0.2.11")]
    cluster = Cluster(Snapshot.of([namespace("x"), namespace("y")], PAIR, nodes, policies))
    for probe in cluster.every_probe():
        assert_hops_agree(cluster, probe)


@given(snapshots(), st.integers(0, 255))
def test_what_belongs_to_a_living_connection_passes_and_meets_few_rules(snapshot: Snapshot, salt: int) -> None:
    cluster = Cluster(snapshot, fail_open=False)
    for probe, hop in cluster.passages(salt):
        for state in (State.ESTABLISHED, State.RELATED):
            found = cluster.trace(hop, replace(packet_of(probe), state=state, opening=False))
            assert found.verdict is Outcome.ACCEPTED, f"G2: {probe} at {hop}: {found}"
            assert found.rules_met <= 3, f"{probe} at {hop}: {found}"


@given(snapshots(), st.integers(0, 255))
def test_discovery_always_passes(snapshot: Snapshot, salt: int) -> None:
    cluster = Cluster(snapshot, fail_open=False)
    for probe, hop in cluster.passages(salt):
        if probe.source.version == 6:
            for number in range(133, 137):
                packet = Packet(probe.source, probe.destination, Protocol.ICMP, icmpv6_type=number)
                found = cluster.trace(hop, packet)
                assert found.verdict is Outcome.ACCEPTED, f"G10: {packet} at {hop}: {found}"


@given(snapshots(), st.integers(0, 255))
def test_no_connection_of_an_isolated_pod_is_picked_up_in_mid_stream(snapshot: Snapshot, salt: int) -> None:
    """Whichever side speaks next, and whatever the direction of isolation: even the node itself (G11)."""
    cluster = Cluster(snapshot)
    for probe, hop in cluster.passages(salt):
        if probe.protocol is Protocol.TCP:
            opening = packet_of(probe)
            found = cluster.trace(hop, replace(opening, opening=False))
            ends = (pod_on(hop.node, cluster.oracle.end_at(each)) for each in (probe.source, probe.destination))
            if any(end is not None and is_enforced(end, snapshot) for end in ends):
                assert found.verdict is Outcome.DROPPED, f"G11: {probe} at {hop}: {found}"
            else:
                assert found.verdict is cluster.trace(hop, opening).verdict, f"{probe} at {hop}: {found}"


def is_enforced(tested: Pod, snapshot: Snapshot) -> bool:
    """True where anything that is not under audit isolates the pod, for whichever direction (V1, M4, X16)."""
    own = snapshot.namespaces.get(tested.namespace, Namespace(tested.namespace))
    if own.enforcement is Enforcement.AUDIT:
        return False
    return own.default_deny or any(
        each.semantics is Semantics.V1
        and each.enforcement is Enforcement.ENFORCE
        and each.namespace == tested.namespace
        and each.pods.matches(tested.labels)
        for each in snapshot.policies.values()
    )


@given(snapshots(), st.integers(0, 255), st.sampled_from([State.INVALID, State.UNTRACKED]))
def test_what_conntrack_does_not_follow_is_judged_as_an_opening(snapshot: Snapshot, salt: int, state: State) -> None:
    cluster = Cluster(snapshot, fail_open=False)
    for probe, hop in cluster.passages(salt):
        opening = packet_of(probe)
        found = cluster.trace(hop, replace(opening, state=state))
        assert found.verdict is cluster.trace(hop, opening).verdict, f"{probe}, {state}, at {hop}: {found}"


@given(snapshots(), st.integers(0, 255))
def test_a_protocol_no_policy_can_name_needs_a_rule_without_ports(snapshot: Snapshot, salt: int) -> None:
    """It fares as ICMP does, which no port entry can name either (G10)."""
    cluster = Cluster(snapshot, fail_open=False)
    for probe, hop in cluster.passages(salt):
        ping = Packet(probe.source, probe.destination, Protocol.ICMP)
        found = cluster.trace(hop, replace(ping, protocol=None))
        assert found.verdict is cluster.trace(hop, ping).verdict, f"G10: {probe} at {hop}: {found}"


@given(snapshots(), st.integers(0, 255))
def test_the_node_reaches_its_pods_from_any_address_of_its_own(snapshot: Snapshot, salt: int) -> None:
    """A bridge's address stands in no Node object, and is the node's all the same (G8, G12)."""
    cluster = Cluster(snapshot, fail_open=False)
    for probe, hop in cluster.passages(salt):
        own = cluster.local[hop.node]
        packet = replace(packet_of(probe), local=own | {probe.source})
        if hop.hook is Hook.OUTPUT:
            found = cluster.tracers[hop.node].trace(family_of(probe.source), hop.hook, packet)
            assert found.verdict is Outcome.ACCEPTED, f"G8: {probe} at {hop}: {found}"


RANGE = ("10.0.0.0/29", "fd00::/125")
CLOSED = NodeOptions("n1")


def one_pod_in_a_range(cidrs: Sequence[str] = RANGE) -> Snapshot:
    """A node with this range and one pod in it, which nothing isolates."""
    known = pod("x/known", "10.0.0.2", "fd00::2", node="n1")
    return Snapshot.of([namespace("x")], [known], [node("n1", "192.0.2.10", pod_cidrs=cidrs)])


UNKNOWN_PASSAGES = [
    (Hook.FORWARD, "10.0.0.3", "198.51.100.7"),
    (Hook.FORWARD, "198.51.100.7", "10.0.0.3"),
    (Hook.FORWARD, "10.0.0.3", "10.0.0.2"),
    (Hook.FORWARD, "10.0.0.2", "10.0.0.3"),
    (Hook.INPUT, "10.0.0.3", "192.0.2.10"),
    (Hook.FORWARD, "fd00::3", "2001:db8:7::7"),
    (Hook.FORWARD, "2001:db8:7::7", "fd00::3"),
]
KNOWN_PASSAGES = [
    (Hook.FORWARD, "10.0.0.2", "198.51.100.7"),
    (Hook.FORWARD, "198.51.100.7", "10.0.0.2"),
    (Hook.FORWARD, "10.0.0.8", "198.51.100.7"),
    (Hook.INPUT, "10.0.0.2", "10.0.0.1"),
    (Hook.INPUT, "198.51.100.7", "192.0.2.10"),
    (Hook.OUTPUT, "10.0.0.1", "10.0.0.3"),
    (Hook.OUTPUT, "192.0.2.10", "10.0.0.3"),
    (Hook.FORWARD, "fd00::2", "2001:db8:7::7"),
]


def passage(snapshot: Snapshot, options: NodeOptions, hook: Hook, source: str, destination: str) -> Outcome:
    """What node n1, which also has the bridge address 10.0.0.1, does with an opening packet."""
    own = frozenset(map(address, ("192.0.2.10", "10.0.0.1")))
    packet = Packet(address(source), address(destination), Protocol.TCP, 80, local=own)
    return trace(compile_ruleset(snapshot, options), family_of(packet.source), hook, packet).verdict


@pytest.mark.parametrize(("hook", "source", "destination"), UNKNOWN_PASSAGES)
def test_an_address_of_the_range_that_no_pod_has_is_refused(hook: Hook, source: str, destination: str) -> None:
    assert passage(one_pod_in_a_range(), CLOSED, hook, source, destination) is Outcome.DROPPED
    by_options = replace(CLOSED, pod_cidrs=tuple(map(parse_network, RANGE)))
    assert passage(one_pod_in_a_range(()), by_options, hook, source, destination) is Outcome.DROPPED


@pytest.mark.parametrize(("hook", "source", "destination"), UNKNOWN_PASSAGES)
def test_an_unknown_pod_passes_where_failing_open_is_asked_for_or_no_range_is_known(
    hook: Hook, source: str, destination: str
) -> None:
    fail_open = replace(CLOSED, fail_open=True)
    assert passage(one_pod_in_a_range(), fail_open, hook, source, destination) is Outcome.ACCEPTED
    assert passage(one_pod_in_a_range(()), CLOSED, hook, source, destination) is Outcome.ACCEPTED


@pytest.mark.parametrize(("hook", "source", "destination"), KNOWN_PASSAGES)
def test_known_pods_the_node_and_what_is_outside_the_range_are_unaffected(
    hook: Hook, source: str, destination: str
) -> None:
    assert passage(one_pod_in_a_range(), CLOSED, hook, source, destination) is Outcome.ACCEPTED
