"""The answer to a person's question: may this end connect to that one, and why."""

from __future__ import annotations

from dataclasses import dataclass

from netpol.model.ports import ProtocolPort
from netpol.model.snapshot import Snapshot
from netpol.policy.ends import pair_of_one_family
from netpol.policy.judgement import Connection, End, PodEnd, Verdict
from netpol.policy.prose import note_sentences, verdict_sentences
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
    pair = pair_of_one_family(sources, destinations)
    sender, receiver = pair or (sources[0], destinations[0])
    connection = Connection(_judged(oracle, sender), _judged(oracle, receiver), port.protocol, port.port)
    verdict = oracle.judge(connection, Detail.FULL) if pair else no_common_family(connection)
    nodes = snapshot.nodes.values()
    notes = (
        *note_sentences(source, sender, connection.source, nodes),
        *note_sentences(destination, receiver, connection.destination, nodes),
    )
    return Explanation(sender, receiver, connection, verdict, tuple(dict.fromkeys(notes)))


def _judged(oracle: Oracle, end: End) -> End:
    """Who holds a pod's address, which may be a newer pod than the one that was named (X1)."""
    return oracle.end_at(end.address) if isinstance(end, PodEnd) else end
