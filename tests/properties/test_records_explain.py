"""The record of a packet says what `netpol explain` says of the same ends.

Where the kernel logs a packet is told by the verdict here; that compiled rules log it there
is another property's matter (`test_tracer_agrees`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from history import BEGAN, NODE, facts
from hypothesis import event, given
from hypothesis import strategies as st
from record_schema import conforming
from worlds import all_addresses, snapshots

from netpol.audit.capture.folding import Fold
from netpol.audit.capture.packet import Packet
from netpol.audit.entries import miss_entry, policy_entry
from netpol.audit.history.chronicle import Chronicle
from netpol.audit.judge import Judge
from netpol.audit.record import Action, NodeParty, PodParty, Record, encode
from netpol.command.explain import explanation_json
from netpol.compiler import log_points, names
from netpol.compiler.names import PodChainKind
from netpol.model.networks import Address, Family, family_of
from netpol.model.objects import Pod
from netpol.model.policies import Direction
from netpol.model.ports import PROTOCOL_NUMBERS, Protocol, ProtocolPort
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import AuditLevel
from netpol.policy.explanation import Explanation, explain
from netpol.policy.judgement import Decision, End, NodeEnd, PodEnd, Reason
from netpol.settings import NodeOptions

PORTS = (
    *(ProtocolPort(Protocol.TCP, number) for number in (80, 81, 53)),
    *(ProtocolPort(Protocol.UDP, 53), ProtocolPort(Protocol.SCTP, 80), ProtocolPort(Protocol.ICMP, None)),
)
CHAINS = {
    Action.DENY: PodChainKind.REFUSING,
    Action.WOULD_DENY: PodChainKind.AUDITING,
    Action.ALLOW: PodChainKind.ALLOWING,
}


def logged(explanation: Explanation) -> Iterator[tuple[Action, Pod, Decision, Decision]]:
    """What the node's kernel may log of this connection: of which pod, by which answer, what part of it is told."""
    verdict, connection = explanation.verdict, explanation.connection
    for own, decision in ((connection.source, verdict.egress), (connection.destination, verdict.ingress)):
        if not isinstance(own, PodEnd) or own.pod.node != NODE:
            continue
        if not decision.allowed:
            yield Action.DENY, own.pod, decision, decision
        elif decision.would_deny is not None:
            yield Action.WOULD_DENY, own.pod, decision, decision.would_deny
        elif decision.reason is Reason.RULE:
            yield Action.ALLOW, own.pod, decision, decision


def packet(source: Address, destination: Address, port: ProtocolPort) -> Packet:
    family = family_of(source)
    number = PROTOCOL_NUMBERS[family][port.protocol]
    if port.protocol is Protocol.ICMP:
        return Packet(source, destination, number, icmp_type=8 if family is Family.IPV4 else 128)
    return Packet(source, destination, number, 40000, port.port)


def record_of(judge: Judge, action: Action, pod: Pod, direction: Direction, of: Packet) -> Record | None:
    prefix = log_points.prefix(names.pod_chain(pod.namespace, pod.name, direction, CHAINS[action]))
    found = judge.record(Fold(prefix, of, 1, BEGAN, BEGAN), BEGAN)
    return None if found is None else conforming(found)


@given(snapshots(max_pods=6), st.sampled_from(PORTS), st.integers(0, 6))
def test_a_record_says_what_explain_says(snapshot: Snapshot, port: ProtocolPort, phase: int) -> None:
    chronicle = Chronicle(NodeOptions(NODE))
    chronicle.follow(facts(Snapshot.of(), snapshot), BEGAN, BEGAN)
    judge = Judge(chronicle, NodeOptions(NODE))
    addresses = all_addresses(snapshot)
    pairs = [(a, b) for a in addresses for b in addresses if family_of(a) is family_of(b)]
    for source, destination in pairs[phase::7]:
        explanation = explain(snapshot, str(source), str(destination), port)
        for action, pod, decision, told in logged(explanation):
            record = record_of(judge, action, pod, decision.direction, packet(source, destination, port))
            if is_silent(snapshot, pod):
                assert record is None
                continue
            event(action.value)
            assert record is not None
            assert record.action is action
            assert_same(record, told)
            assert_same_on_the_line(record, explanation, decision)
            own, peer = explanation.connection.source, explanation.connection.destination
            if decision.direction is Direction.INGRESS:
                own, peer = peer, own
            assert_is(record.subject, own)
            assert_is(record.peer, peer)


def is_silent(snapshot: Snapshot, pod: Pod) -> bool:
    namespace = snapshot.namespaces.get(pod.namespace)
    return namespace is not None and namespace.audit is AuditLevel.NONE


def assert_same(record: Record, told: Decision) -> None:
    """Policies are compared with the state they were in."""
    assert record.direction == told.direction.value
    assert record.reason.value == told.reason.value
    assert record.policies == tuple(map(policy_entry, told.policies))
    assert record.isolating == tuple(map(policy_entry, told.isolating))
    assert record.nearest_miss == (None if told.nearest_miss is None else miss_entry(told.nearest_miss))


def assert_same_on_the_line(record: Record, explanation: Explanation, decision: Decision) -> None:
    """What a program reads of both is the same, field by field."""
    line, answer = json.loads(encode(record)), json.loads(json.dumps(explanation_json(explanation)))
    side = answer[decision.direction.value]
    if record.action is Action.WOULD_DENY:
        side = side["would_deny"]
    for field in ("reason", "policies", "isolating", "nearest_miss"):
        assert line[field] == side[field]


def assert_is(party: object, end: End) -> None:
    """The record names who the question was about."""
    match end, party:
        case PodEnd(pod, address), PodParty(namespace, name, uid, ip, workload, gone):
            told = (pod.namespace, pod.name, pod.uid, str(address), pod.workload)
            assert (namespace, name, uid, ip, workload) == told
            assert not gone
        case NodeEnd(node, address), NodeParty(name, ip):
            assert (name, ip) == (node.name, str(address))
        case _:
            assert getattr(party, "ip", None) == str(end.address)
            assert not isinstance(end, PodEnd | NodeEnd)
