"""`netpol audit`: what the audit log says, for people."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterable, Sequence

from netpol.audit.reader.reading import Entry
from netpol.audit.reader.summary import Total, encode_total, folded, is_of_packets, totals
from netpol.command import audit_suggest
from netpol.command.aligned import UNBOUNDED
from netpol.command.arguments import add_output_argument
from netpol.command.audit_following import followed_entries, pause
from netpol.command.audit_selection import add_selection_arguments, selected_entries
from netpol.command.audit_table import RecordTable, total_row, total_table
from netpol.command.look import Look, look_of
from netpol.command.switches import Switch, add_switch
from netpol.errors import UsageError

HELP = "read the audit log: what was refused, would be, or was allowed, and why"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows this command's flags, and its subcommand."""
    add_selection_arguments(parser)
    add_output_argument(parser, "table")
    add_switch(parser, "--follow", Switch.OFF, "go on with records as they are written")
    add_switch(parser, "--summary", Switch.OFF, "add packets up by workloads, port and reason")
    subcommands = parser.add_subparsers(metavar="SUBCOMMAND")
    suggest = subcommands.add_parser(
        "suggest", help=audit_suggest.HELP, description=audit_suggest.HELP, allow_abbrev=False
    )
    audit_suggest.add_arguments(suggest)
    suggest.set_defaults(run=_suggest)


def run(arguments: argparse.Namespace) -> int:
    """0 once the records are printed."""
    if arguments.follow and arguments.summary:
        raise UsageError("--follow and --summary exclude each other: a summary is of what has been written")
    if arguments.follow:
        _print_as_they_come(followed_entries(arguments, pause), arguments.output)
        return 0
    if arguments.output == "table":
        lines = table_lines(arguments, _look())
        _print_lines(lines)
        if not lines:
            print("netpol: no record is as asked for", file=sys.stderr)
        return 0
    entries = selected_entries(arguments)
    _print_json(map(encode_total, _totals(entries)) if arguments.summary else (each.text for each in entries))
    return 0


def table_lines(arguments: argparse.Namespace, look: Look) -> list[str]:
    """The records that the flags ask for, or what they come to, as people read them; none where there is none."""
    entries = selected_entries(arguments)
    if arguments.summary:
        return total_table(look).lines([total_row(total) for total in _totals(entries)])
    return RecordTable(look).lines(folded(entry.record for entry in entries))


def _totals(entries: Iterable[Entry]) -> Sequence[Total]:
    return totals(entry.record for entry in entries)


def _suggest(arguments: argparse.Namespace) -> int:
    """The subcommand's status; UsageError where flags stand before it that it knows nothing of."""
    if arguments.follow or arguments.summary or arguments.output != "table":
        raise UsageError("--follow, --summary and --output are none of netpol audit suggest")
    return audit_suggest.run(arguments)


def _print_as_they_come(rounds: Iterable[list[Entry]], output: str) -> None:
    table = RecordTable(_look())
    for entries in rounds:
        if output == "json":
            _print_json(entry.text for entry in entries)
        else:
            _print_lines(table.lines([entry.record for entry in entries if is_of_packets(entry.record)]))
        sys.stdout.flush()


def _print_json(texts: Iterable[bytes]) -> None:
    """A line each, as they are in the log, whatever the encoding of the terminal."""
    for text in texts:
        sys.stdout.buffer.write(text + b"\n")


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _look() -> Look:
    """Names and reasons are whole where the output is no terminal, which has no width."""
    return look_of(sys.stdout, os.environ, shutil.get_terminal_size((UNBOUNDED, 0)).columns)
