"""`netpol explain`: whether one end may connect to another, and why."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass

from netpol.command.arguments import add_output_argument, add_source_arguments, load_snapshot, protocol_port
from netpol.model.ports import ProtocolPort
from netpol.model.snapshot import Snapshot
from netpol.policy.ends import common
from netpol.policy.judgement import (
    AnnotationReference,
    Connection,
    Decision,
    End,
    NearestMiss,
    PodEnd,
    PolicyReference,
    Reference,
    Verdict,
)
from netpol.policy.prose import note_sentences, verdict_sentences
from netpol.policy.verdict import Detail, Oracle, no_common_family

HELP = "say whether SRC may connect to DST, and which policies make it so"

Json = Mapping[str, object]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows this command's flags."""
    add_source_arguments(parser)
    add_output_argument(parser, "text")
    parser.add_argument("source", metavar="SRC", help="namespace/pod, an IP address or node/NAME")
    parser.add_argument("destination", metavar="DST", help="namespace/pod, an IP address or node/NAME")
    parser.add_argument("port", metavar="PORT/PROTO", help="80/TCP, 53/UDP, 9999/SCTP or ICMP")


def run(arguments: argparse.Namespace) -> int:
    """0 once the question is answered, whatever the answer."""
    port = protocol_port(arguments.port)
    explanation = explain(load_snapshot(arguments).snapshot, arguments.source, arguments.destination, port)
    if arguments.output == "json":
        print(json.dumps(explanation_json(explanation), indent=2))
    else:
        print("\n".join(explanation_text(explanation)))
    return 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """An answer: the ends as they were meant, the connection as it was judged, and what else is worth knowing."""

    source: End
    destination: End
    connection: Connection
    verdict: Verdict
    notes: tuple[str, ...]


def explain(snapshot: Snapshot, source: str, destination: str, port: ProtocolPort) -> Explanation:
    """The answer to `source destination port`; UsageError where a name stands for nothing that can be judged."""
    oracle = Oracle(snapshot)
    sources, destinations = oracle.ends_named(source), oracle.ends_named(destination)
    pair = common(sources, destinations)
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


def explanation_text(explanation: Explanation) -> list[str]:
    """The answer as a person reads it, a sentence a line."""
    return [
        *verdict_sentences(explanation.connection, explanation.verdict),
        *(f"Note: {note}" for note in explanation.notes),
    ]


def explanation_json(explanation: Explanation) -> Json:
    """The answer as a program reads it."""
    connection, verdict = explanation.connection, explanation.verdict
    return {
        "source": str(explanation.source),
        "destination": str(explanation.destination),
        "port": str(connection.protocol_port),
        "allowed": verdict.allowed,
        "egress": _decision_json(verdict.egress),
        "ingress": _decision_json(verdict.ingress),
        "notes": list(explanation.notes),
    }


def _decision_json(decision: Decision) -> Json:
    miss = decision.nearest_miss
    return {
        "allowed": decision.allowed,
        "reason": decision.reason.value,
        "policies": [_reference_json(reference) for reference in decision.policies],
        "isolating": [_reference_json(reference) for reference in decision.isolating],
        "nearest_miss": None if miss is None else _miss_json(miss),
    }


def _reference_json(reference: Reference) -> Json:
    if isinstance(reference, AnnotationReference):
        return {"kind": "Namespace", "name": reference.name, "annotation": reference.annotation}
    return _policy_json(reference)


def _policy_json(reference: PolicyReference) -> Json:
    return {
        "kind": reference.kind,
        "namespace": reference.namespace,
        "name": reference.name,
        "rule": reference.rule,
    }


def _miss_json(miss: NearestMiss) -> Json:
    return {**_policy_json(miss.policy), "lacked": [lack.value for lack in miss.lacked], "detail": miss.detail}
