"""`netpol matrix`: which pods may connect to which, on each port asked for."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterable

from netpol.command.arguments import add_output_argument, protocol_port
from netpol.command.look import Look, look_of
from netpol.command.source_arguments import add_source_arguments, load_snapshot
from netpol.command.table import Outcomes, Panel, grids, legend, totals
from netpol.model.ports import ProtocolPort
from netpol.model.snapshot import Snapshot
from netpol.policy.reachability import Reachability, divided, reachability
from netpol.policy.verdict import Oracle

HELP = "show which pods may connect to which others on the given ports"

Matrix = dict[str, Reachability]
"""For each `PORT/PROTO`, who may connect to whom."""

Divisions = dict[str, list[tuple[str, str]]]
"""For each `PORT/PROTO`, the pairs that have another answer over their other address family."""


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


def run(arguments: argparse.Namespace) -> int:
    """0 once the matrix is printed, whatever it says."""
    ports = [protocol_port(text) for text in arguments.ports]
    snapshot = load_snapshot(arguments).snapshot
    matrix = matrix_of(snapshot, ports)
    if arguments.output == "json":
        print(json.dumps(matrix, indent=2))
    else:
        look = look_of(sys.stdout, os.environ, shutil.get_terminal_size().columns)
        print("\n".join(matrix_text(matrix, divisions_of(snapshot, ports, matrix), look)))
    return 0


def matrix_of(snapshot: Snapshot, ports: list[ProtocolPort]) -> Matrix:
    """The reachability of all pods for each port, once where a port is asked for twice."""
    oracle = Oracle(snapshot)
    return {str(port): reachability(oracle, snapshot.pods.values(), port) for port in ports}


def divisions_of(snapshot: Snapshot, ports: list[ProtocolPort], matrix: Matrix) -> Divisions:
    """The pairs that another family answers otherwise than the matrix of these ports, for each port that has any."""
    oracle = Oracle(snapshot)
    found = {str(port): divided(oracle, snapshot.pods.values(), port, matrix[str(port)]) for port in ports}
    return {port: pairs for port, pairs in found.items() if pairs}


def matrix_text(matrix: Matrix, divisions: Divisions, look: Look) -> list[str]:
    """A grid for each port, what they come to, what they do not show, and what their symbols mean."""
    panels = [Panel(port, reach) for port, reach in matrix.items()]
    return [
        *grids(panels, look),
        "",
        totals(panels, Outcomes.JUDGED, look),
        *_division_lines(divisions),
        legend(Outcomes.JUDGED, look),
    ]


def _division_lines(divisions: Divisions) -> Iterable[str]:
    if divisions:
        counts = ", ".join(f"{port} {len(pairs)}" for port, pairs in divisions.items())
        port, pairs = next(iter(divisions.items()))
        question = " ".join((*pairs[0], port))
        yield f"pairs with another answer over their other address family: {counts} (netpol explain {question})"
