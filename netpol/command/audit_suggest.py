"""`netpol audit suggest`: policies to add so that what was refused is allowed, as YAML; nothing is applied."""

from __future__ import annotations

import argparse
import sys

from netpol.command.audit_selection import add_selection_arguments, joined, selected_records
from netpol.command.source_arguments import add_source_arguments, load_snapshot
from netpol.command.switches import Switch, add_switch
from netpol.model.policies import Semantics
from netpol.suggest.needs import REFUSALS, Tally
from netpol.suggest.policy_yaml import policy_yaml
from netpol.suggest.suggestions import Breadth, Suggestions, suggest

HELP = "print the smallest policies to add so that what was refused, or would be, is allowed"

_PREFIX = "suggest_"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows this command's flags."""
    add_selection_arguments(parser, _PREFIX)
    add_source_arguments(parser)
    add_switch(
        parser,
        "--all-ports",
        Switch.OFF,
        "for what has no ports, as ICMP, suggest rules without ports, which open every port to that peer",
    )


def run(arguments: argparse.Namespace) -> int:
    """0 once what there is to suggest is printed, be it nothing."""
    loaded = load_snapshot(arguments)
    breadth = Breadth.ALL_PORTS if arguments.all_ports else Breadth.NAMED_PORTS
    refusals = {"action": [action.value for action in REFUSALS]}
    asked = argparse.Namespace(**refusals | vars(joined(arguments, _PREFIX)))
    suggestions = suggest(selected_records(asked), loaded.snapshot, breadth, loaded.semantics or Semantics.V1)
    print(policy_yaml(suggestions), end="")
    for line in remarks(suggestions):
        print(f"netpol: {line}", file=sys.stderr)
    return 0


def remarks(suggestions: Suggestions) -> list[str]:
    """What became of the records that no policy is suggested for."""
    left_out = sum(suggestions.left_out.values(), Tally())
    said = {
        "allowed by the policies of now": suggestions.allowed,
        "nothing is suggested for, the comments say why": left_out,
        **{f"no policy could allow, reason {reason}": tally for reason, tally in suggestions.passed_over.items()},
    }
    return [f"{words}: {tally}" for words, tally in said.items() if tally.records]
