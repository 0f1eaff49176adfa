"""`netpol matrix`: which pods may connect to which, on each port asked for."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Collection, Iterable

from netpol.command.arguments import add_output_argument, protocol_port
from netpol.command.look import Look, Paint, look_of
from netpol.command.source_arguments import add_source_arguments, load_snapshot
from netpol.command.switches import Switch, add_switch
from netpol.command.table import Outcomes, Panel, grids, legend, totals
from netpol.model.objects import Pod
from netpol.model.ports import ProtocolPort
from netpol.model.treatment import Extent
from netpol.policy.reachability import Reachability, divided, reachability, spared
from netpol.policy.verdict import Oracle

HELP = "show which pods may connect to which others on the given ports"

Matrix = dict[str, Reachability]
"""For each `PORT/PROTO`, who may connect to whom."""

Pairs = dict[str, list[tuple[str, str]]]
"""For each `PORT/PROTO` that has any, the pairs of which something more is to be said."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows this command's flags."""
    add_source_arguments(parser)
    add_output_argument(parser, "table")
    parser.add_argument(
        "-p",
        "--port",
        dest="ports",
        action="append",
        required=True,
        metavar="PORT/PROTO",
        help="80/TCP, 53/UDP, 9999/SCTP or ICMP; may be given more than once",
    )
    add_switch(parser, "--as-if-enforced", Switch.OFF, "answer as if what is under audit were enforced")


def run(arguments: argparse.Namespace) -> int:
    """0 once the matrix is printed, whatever it says."""
    ports = [protocol_port(text) for text in arguments.ports]
    snapshot = load_snapshot(arguments).snapshot
    oracle = Oracle(snapshot, extent=Extent.ALL if arguments.as_if_enforced else Extent.ENFORCED)
    pods = snapshot.pods.values()
    matrix = matrix_of(oracle, pods, ports)
    if arguments.output == "json":
        print(json.dumps(matrix, indent=2))
    else:
        look = look_of(sys.stdout, os.environ, shutil.get_terminal_size().columns)
        outcomes = Outcomes.SUPPOSED if arguments.as_if_enforced else Outcomes.JUDGED
        divisions, dry = divisions_of(oracle, pods, ports, matrix), dry_runs_of(oracle, pods, ports, matrix)
        print("\n".join(matrix_text(matrix, divisions, dry, outcomes, look)))
    return 0


def matrix_of(oracle: Oracle, pods: Collection[Pod], ports: Iterable[ProtocolPort]) -> Matrix:
    """The reachability of all pods for each port, once where a port is asked for twice."""
    return {str(port): reachability(oracle, pods, port) for port in ports}


def divisions_of(oracle: Oracle, pods: Collection[Pod], ports: Iterable[ProtocolPort], matrix: Matrix) -> Pairs:
    """The pairs that another family answers otherwise than the matrix of these ports (X12)."""
    return _any((str(port), divided(oracle, pods, port, matrix[str(port)])) for port in ports)


def dry_runs_of(oracle: Oracle, pods: Collection[Pod], ports: Iterable[ProtocolPort], matrix: Matrix) -> Pairs:
    """The pairs of the matrix that may connect only while policies are under audit (X16)."""
    return _any((str(port), spared(oracle, pods, port, matrix[str(port)])) for port in ports)


def _any(found: Iterable[tuple[str, list[tuple[str, str]]]]) -> Pairs:
    return {port: pairs for port, pairs in found if pairs}


def matrix_text(matrix: Matrix, divisions: Pairs, dry_runs: Pairs, outcomes: Outcomes, look: Look) -> list[str]:
    """A grid for each port, what they come to, what they do not show, and what their symbols mean."""
    panels = [Panel(port, reach, spared=frozenset(dry_runs.get(port, ()))) for port, reach in matrix.items()]
    others = [f"{look.painted(look.symbols.spared, Paint.WOULD_REFUSE)} allowed under audit"] if dry_runs else []
    return [
        *grids(panels, look),
        "",
        totals(panels, outcomes, look),
        *_counted("pairs that enforcing would refuse", dry_runs),
        *_counted("pairs with another answer over their other address family", divisions),
        legend(outcomes, look, *others),
    ]


def _counted(title: str, found: Pairs) -> Iterable[str]:
    """How many pairs each port has, and the question that explains the first of them."""
    if found:
        counts = ", ".join(f"{port} {len(pairs)}" for port, pairs in found.items())
        port, pairs = next(iter(found.items()))
        yield f"{title}: {counts} (netpol explain {' '.join((*pairs[0], port))})"
