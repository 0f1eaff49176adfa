"""`netpol matrix`: which pods may connect to which, on each port asked for."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys

from netpol.command.arguments import add_output_argument, add_source_arguments, load_snapshot, protocol_port
from netpol.command.look import Look, look_of
from netpol.command.table import Outcomes, Panel, grids, legend, totals
from netpol.model.ports import ProtocolPort
from netpol.model.snapshot import Snapshot
from netpol.policy.reachability import Reachability, reachability
from netpol.policy.verdict import Oracle

HELP = "show which pods may connect to which others on the given ports"

Matrix = dict[str, Reachability]
"""For each `PORT/PROTO`, who may connect to whom."""


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
    matrix = matrix_of(load_snapshot(arguments).snapshot, ports)
    if arguments.output == "json":
        print(json.dumps(matrix, indent=2))
    else:
        look = look_of(sys.stdout, os.environ, shutil.get_terminal_size().columns)
        print("\n".join(matrix_text(matrix, look)))
    return 0


def matrix_of(snapshot: Snapshot, ports: list[ProtocolPort]) -> Matrix:
    """The reachability of all pods for each port, once where a port is asked for twice."""
    oracle = Oracle(snapshot)
    return {str(port): reachability(oracle, snapshot.pods.values(), port) for port in ports}


def matrix_text(matrix: Matrix, look: Look) -> list[str]:
    """A grid for each port, what they come to, and what their symbols mean."""
    panels = [Panel(port, reach) for port, reach in matrix.items()]
    return [*grids(panels, look), "", totals(panels, Outcomes.JUDGED, look), legend(Outcomes.JUDGED, look)]
