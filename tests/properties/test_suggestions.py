"""What is suggested of a log, in random worlds: it allows what was refused, isolates nobody, and nothing of it is idle.

None of it is asked of `netpol.suggest.proof`, which suggestions have passed: objects are read as
a cluster would, and pods told apart by what they state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any

import yaml
from audit_records import party, refusal
from hypothesis import given
from hypothesis import strategies as st
from worlds import all_addresses, snapshots

from netpol.audit.record import Action, ExternalParty, NodeParty, PodParty, Record
from netpol.model.networks import parse_address
from netpol.model.objects import Namespace, Pod
from netpol.model.policies import Direction, Policy, Semantics
from netpol.model.ports import PROTOCOLS_WITH_PORTS, Protocol, ProtocolPort
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import Enforcement, Extent
from netpol.policy.judgement import Connection, Decision, End, PodEnd
from netpol.policy.verdict import Oracle
from netpol.source.policies import decode_policy
from netpol.suggest.drafts import Dialect
from netpol.suggest.needs import Tally
from netpol.suggest.policy_yaml import policy_yaml
from netpol.suggest.suggestions import Breadth, Suggestions, suggest

PORTS = tuple(map(ProtocolPort.parse, ("80/TCP", "81/TCP", "53/UDP", "80/SCTP", "ICMP")))
RECORDS_PER_WORLD = 30


@dataclass(frozen=True)
class Case:
    """A world, and records of refusals in it."""

    snapshot: Snapshot
    records: tuple[Record, ...]
    breadth: Breadth

    @property
    def suggestions(self) -> Suggestions:
        return suggest(self.records, self.snapshot, self.breadth)

    def world(self, policies: Sequence[Policy]) -> Snapshot:
        """The world with these policies too."""
        added = {(policy.namespace, policy.name): policy for policy in policies}
        assert not added.keys() & self.snapshot.policies.keys()
        return replace(self.snapshot, policies={**self.snapshot.policies, **added})


def sides(oracle: Oracle, ends: Sequence[End]) -> Iterator[tuple[Connection, Decision]]:
    """Both sides of every connection between two of the ends."""
    for source in ends:
        for destination in ends:
            if source.address is None or destination.address is None or source.address == destination.address:
                continue
            if source.address.version != destination.address.version:
                continue
            for port in PORTS:
                connection = Connection(source, destination, port.protocol, port.port)
                verdict = oracle.judge(connection)
                yield connection, verdict.egress
                yield connection, verdict.ingress


def ends_of(snapshot: Snapshot) -> list[End]:
    oracle = Oracle(snapshot)
    return [oracle.end_at(address) for address in all_addresses(snapshot)]


def record_of(connection: Connection, decision: Decision, count: int) -> Record:
    inwards = decision.direction is Direction.INGRESS
    ends = connection.destination, connection.source
    subject, peer = map(party, ends if inwards else reversed(ends))
    action = Action.WOULD_DENY if decision.would_deny else Action.ALLOW if decision.allowed else Action.DENY
    protocol = connection.protocol.value
    return refusal(subject, peer, connection.port, protocol, direction=decision.direction, action=action, count=count)


def with_workloads(snapshot: Snapshot, chosen: Sequence[int]) -> Snapshot:
    """Pods are of a workload by their labels, of one that has a label of its own and any others, or of none."""
    pods = {}
    for number, (name, pod) in zip(cycle(chosen), snapshot.pods.items(), strict=False):
        alike = "Deployment/" + "-".join(f"{key}.{value}" for key, value in sorted(pod.labels.items()))
        workload, own = ((alike, {}), ("DaemonSet/any", {"name": "any"}), ("DaemonSet/any", {"name": "any"}), ("", {}))[
            number
        ]
        pods[name] = replace(pod, workload=workload, labels={**pod.labels, **own, "pod-template-hash": str(number)})
    return replace(snapshot, pods=pods)


def of_one_api(snapshot: Snapshot, only: Semantics | None) -> Snapshot:
    """The world without the policies of another API, as a server of that release has it."""
    policies = {name: each for name, each in snapshot.policies.items() if only in (None, each.semantics)}
    return replace(snapshot, policies=policies)


def dry_run(snapshot: Snapshot) -> Snapshot:
    """The world with each policy under audit by itself, and nothing else that isolates (X16)."""
    policies = {name: replace(each, enforcement=Enforcement.AUDIT) for name, each in snapshot.policies.items()}
    namespaces = {name: Namespace(name, each.labels) for name, each in snapshot.namespaces.items()}
    return replace(snapshot, policies=policies, namespaces=namespaces)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    world = of_one_api(draw(snapshots(max_pods=8)), draw(st.sampled_from((None, *Semantics))))
    if draw(st.sampled_from((False, False, False, True))):
        world = dry_run(world)
    snapshot = with_workloads(world, draw(st.lists(st.integers(0, 3), min_size=5, max_size=5)))
    breadth = draw(st.sampled_from(Breadth))
    refused = [
        (connection, decision)
        for connection, decision in sides(Oracle(snapshot), ends_of(snapshot))
        if not decision.allowed or decision.would_deny
    ]
    if not refused:
        return Case(snapshot, (), breadth)
    chosen = draw(st.lists(st.integers(0, len(refused) - 1), min_size=5, max_size=RECORDS_PER_WORLD))
    records = [record_of(*refused[index], count=position + 1) for position, index in enumerate(chosen)]
    return Case(snapshot, tuple(records), breadth)


def decoded(document: Any) -> Policy:
    """The policy, of an object in which everything is understood."""
    policy, notices = decode_policy(document, Dialect(document["apiVersion"]).semantics)
    assert notices == ()
    return policy


def printed(suggestions: Suggestions) -> list[Any]:
    return [document for document in yaml.safe_load_all(policy_yaml(suggestions)) if document is not None]


def asks(record: Record) -> tuple[Direction, ProtocolPort]:
    port = record.dst_port if record.protocol in PROTOCOLS_WITH_PORTS else None
    return Direction(record.direction), ProtocolPort(Protocol(record.protocol), port)


def refuses(snapshot: Snapshot, record: Record) -> bool:
    """True where what the record tells of is refused, or would be."""
    assert record.subject is not None
    assert record.peer is not None
    direction, port = asks(record)
    oracle = Oracle(snapshot)
    subject, peer = (oracle.end_at(parse_address(end.ip)) for end in (record.subject, record.peer))
    source, destination = (peer, subject) if direction is Direction.INGRESS else (subject, peer)
    verdict = oracle.judge(Connection(source, destination, port.protocol, port.port))
    decision = verdict.ingress if direction is Direction.INGRESS else verdict.egress
    return not decision.allowed or decision.would_deny is not None


@given(cases())
def test_all_that_is_suggested_for_is_allowed_and_every_record_accounted_for(case: Case) -> None:
    suggestions = case.suggestions
    world = case.world([decoded(document) for document in printed(suggestions)])
    still_refused = sum(record.count for record in case.records if refuses(world, record))
    assert still_refused <= sum(suggestions.left_out.values(), Tally()).packets
    met = [need.tally for each in suggestions.suggested for need in each.needs]
    total = sum([*met, *suggestions.left_out.values(), suggestions.allowed], Tally())
    assert total == Tally(len(case.records), sum(record.count for record in case.records))
    assert suggestions.allowed == Tally()


@given(cases())
def test_nobody_is_isolated_who_was_not(case: Case) -> None:
    world = case.world([decoded(document) for document in printed(case.suggestions)])
    ends = ends_of(case.snapshot)
    for extent in Extent:
        before, after = (Oracle(snapshot, extent=extent) for snapshot in (case.snapshot, world))
        for (_, was), (_, is_now) in zip(sides(before, ends), sides(after, ends), strict=True):
            assert bool(is_now.isolating) is bool(was.isolating)
            assert is_now.allowed or not was.allowed


@given(cases())
def test_without_any_part_of_it_something_is_refused_again(case: Case) -> None:
    documents = printed(case.suggestions)
    whole = {record for record in case.records if not refuses(case.world(list(map(decoded, documents))), record)}
    for position, document in enumerate(documents):
        others = documents[:position] + documents[position + 1 :]
        for lesser in (None, *lesser_documents(document)):
            policies = [decoded(each) for each in (*others, *filter(None, [lesser]))]
            assert any(refuses(case.world(policies), record) for record in whole), lesser


def lesser_documents(document: Any) -> Iterator[Any]:
    """The object without one rule, or one entry of a rule; the last entry goes with its rule."""
    for direction in ("ingress", "egress"):
        for index, rule in enumerate(document["spec"].get(direction, ())):
            shorter = deepcopy(document)
            del shorter["spec"][direction][index]
            yield shorter
            for part, entries in rule.items():
                for number in range(len(entries) if len(entries) > 1 else 0):
                    shorter = deepcopy(document)
                    del shorter["spec"][direction][index][part][number]
                    yield shorter


@given(cases())
def test_nothing_opens_but_what_records_asked_for_of_the_same_workloads(case: Case) -> None:
    world = case.world([decoded(document) for document in printed(case.suggestions)])
    ends = ends_of(case.snapshot)
    for extent in Extent:
        before, after = (Oracle(snapshot, extent=extent) for snapshot in (case.snapshot, world))
        for (connection, was), (_, is_now) in zip(sides(before, ends), sides(after, ends), strict=True):
            if is_now.allowed and not was.allowed:
                assert any(asked_for(record, connection, is_now.direction, case) for record in case.records)


def asked_for(record: Record, connection: Connection, direction: Direction, case: Case) -> bool:
    subject, peer = connection.destination, connection.source
    if direction is Direction.EGRESS:
        subject, peer = peer, subject
    wanted, port = asks(record)
    is_port = port == connection.protocol_port or (case.breadth is Breadth.ALL_PORTS and port.port is None)
    return (
        wanted is direction
        and is_port
        and is_alike(record.subject, subject, case)
        and is_alike(record.peer, peer, case)
    )


def is_alike(recorded: object, end: End, case: Case) -> bool:
    if isinstance(recorded, NodeParty | ExternalParty):
        return str(end.address) == recorded.ip
    assert isinstance(recorded, PodParty)
    return isinstance(end, PodEnd) and is_fellow(end.pod, case.snapshot.pods[recorded.namespace, recorded.name])


def is_fellow(one: Pod, other: Pod) -> bool:
    """True for pods of one controller, and for pods of none that one selector names."""
    plain = [{key: pod.labels[key] for key in pod.labels if key != "pod-template-hash"} for pod in (one, other)]
    alike = one.workload == other.workload if one.workload or other.workload else plain[0] == plain[1]
    return one.namespace == other.namespace and alike


@given(cases(), st.randoms(use_true_random=False))
def test_the_same_records_in_any_order_say_the_same(case: Case, chance: Any) -> None:
    records = list(case.records)
    chance.shuffle(records)
    assert policy_yaml(replace(case, records=tuple(records)).suggestions) == policy_yaml(case.suggestions)


@given(cases())
def test_what_is_printed_is_what_was_proved(case: Case) -> None:
    suggestions = case.suggestions
    assert printed(suggestions) == [each.document for each in suggestions.suggested]
    assert [decoded(document) for document in printed(suggestions)] == [each.policy for each in suggestions.suggested]


@given(cases())
def test_once_applied_there_is_nothing_left_to_suggest(case: Case) -> None:
    suggestions = case.suggestions
    world = case.world([each.policy for each in suggestions.suggested])
    again = suggest(case.records, world, case.breadth)
    assert again.suggested == ()
    assert again.left_out == suggestions.left_out
