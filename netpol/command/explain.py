"""`netpol explain`: whether one end may connect to another, and why."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping

import msgspec

from netpol.audit.entries import miss_entry, policy_entry
from netpol.command.arguments import add_output_argument, protocol_port
from netpol.command.source_arguments import add_source_arguments, load_snapshot
from netpol.policy.explanation import Explanation, explain
from netpol.policy.judgement import Decision, End

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
        print("\n".join(explanation.sentences))
    return 0


def explanation_json(explanation: Explanation) -> Json:
    """The answer as a program reads it."""
    connection, verdict = explanation.connection, explanation.verdict
    return {
        "source": str(explanation.source),
        "source_address": _address_json(connection.source),
        "destination": str(explanation.destination),
        "destination_address": _address_json(connection.destination),
        "port": str(connection.protocol_port),
        "allowed": verdict.allowed,
        "egress": _decision_json(verdict.egress),
        "ingress": _decision_json(verdict.ingress),
        "notes": list(explanation.notes),
    }


def _address_json(end: End) -> str | None:
    return None if end.address is None else str(end.address)


def _decision_json(decision: Decision) -> Json:
    enforcing = decision.would_deny
    return {
        "allowed": decision.allowed,
        **_grounds_json(decision),
        "would_deny": None if enforcing is None else _grounds_json(enforcing),
    }


def _grounds_json(decision: Decision) -> Json:
    """What led to the decision, by the entries that an audit record has of it."""
    miss = decision.nearest_miss
    return {
        "reason": decision.reason.value,
        "policies": [msgspec.to_builtins(policy_entry(reference)) for reference in decision.policies],
        "isolating": [msgspec.to_builtins(policy_entry(reference)) for reference in decision.isolating],
        "nearest_miss": None if miss is None else msgspec.to_builtins(miss_entry(miss)),
    }
