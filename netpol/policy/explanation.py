"""The answer to a person's question: may this end connect to that one, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from netpol.model.policies import Semantics
from netpol.model.ports import ProtocolPort
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import Extent
from netpol.policy.ends import family_between, pairs_by_family
from netpol.policy.judgement import Connection, End, PodEnd, Verdict
from netpol.policy.prose import dry_run_note, inert_policies_note, note_sentences, other_family_note, verdict_sentences
from netpol.policy.verdict import Detail, Oracle, no_common_family


@dataclass(frozen=True, slots=True)
class Explanation:
    """An answer: the ends as they were meant, the connection as it was judged, and what else is worth knowing."""

    source: End
    destination: End
    connection: Connection
    verdict: Verdict
    notes: tuple[str, ...]

    @property
    def sentences(self) -> list[str]:
        """The answer as a person reads it."""
        return [*verdict_sentences(self.connection, self.verdict), *(f"Note: {note}" for note in self.notes)]


def explain(snapshot: Snapshot, source: str, destination: str, port: ProtocolPort) -> Explanation:
    """The answer to `source destination port`; UsageError where a name stands for nothing that can be judged."""
    oracle = Oracle(snapshot)
    sources, destinations = oracle.ends_named(source), oracle.ends_named(destination)
    pairs = pairs_by_family(sources, destinations)
    sender, receiver = pairs[0] if pairs else (sources[0], destinations[0])
    connection = _connection(oracle, sender, receiver, port)
    verdict = oracle.judge(connection, Detail.FULL) if pairs else no_common_family(connection)
    others = (_connection(oracle, *pair, port) for pair in pairs[1:])
    nodes = snapshot.nodes.values()
    notes = (
        *note_sentences(source, sender, connection.source, nodes),
        *note_sentences(destination, receiver, connection.destination, nodes),
        *_inert_policies_notes(snapshot, connection.destination),
        *(_dry_run_notes(verdict, Oracle(snapshot, extent=Extent.ALL).judge(connection), connection) if pairs else ()),
        *_other_family_notes(oracle, verdict, others),
    )
    return Explanation(sender, receiver, connection, verdict, tuple(dict.fromkeys(notes)))


def _inert_policies_notes(snapshot: Snapshot, destination: End) -> Iterable[str]:
    """Beta policies that select the destination in a namespace that is not isolated (B3)."""
    if not isinstance(destination, PodEnd):
        return
    pod = destination.pod
    namespace = snapshot.namespaces.get(pod.namespace)
    if namespace is not None and namespace.default_deny:
        return
    inert = [
        policy
        for _, policy in sorted(snapshot.policies.items())
        if policy.semantics is Semantics.ANNOTATION
        and policy.namespace == pod.namespace
        and policy.pods.matches(pod.labels)
    ]
    if inert:
        yield inert_policies_note(pod, inert)


def _dry_run_notes(enforced: Verdict, enforcing: Verdict, connection: Connection) -> Iterable[str]:
    """What is under audit at the ends that are pods (X16)."""
    for end, now, then in (
        (connection.source, enforced.egress, enforcing.egress),
        (connection.destination, enforced.ingress, enforcing.ingress),
    ):
        if isinstance(end, PodEnd) and (note := dry_run_note(now, then, end.pod)) is not None:
            yield note


def _other_family_notes(oracle: Oracle, verdict: Verdict, others: Iterable[Connection]) -> Iterable[str]:
    """The other families' answers, where they are not that of the family that was judged (X12)."""
    for connection in others:
        family = family_between(connection.source, connection.destination)
        other = oracle.judge(connection)
        if family is not None and other.allowed is not verdict.allowed:
            yield other_family_note(family, connection, other)


def _connection(oracle: Oracle, source: End, destination: End, port: ProtocolPort) -> Connection:
    return Connection(_judged(oracle, source), _judged(oracle, destination), port.protocol, port.port)


def _judged(oracle: Oracle, end: End) -> End:
    """Who holds a pod's address, which may be a newer pod than the one that was named (X1)."""
    return oracle.end_at(end.address) if isinstance(end, PodEnd) else end
