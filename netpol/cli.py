"""The `netpol` command: finds the subcommand, and turns every expected failure into one line and a status.

Exit status: 0 done; 1 the answer is no, or the work failed; 2 wrong usage or input.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn, Protocol, cast

import netpol
from netpol.errors import NetpolError, UsageError
from netpol.model.ports import ProtocolPort

COMMANDS = {
    "run": "netpol.command.run",
    "demo": "netpol.command.demo",
    "services": "netpol.command.services",
    "matrix": "netpol.command.matrix",
    "explain": "netpol.command.explain",
    "audit": "netpol.command.audit",
    "compile": "netpol.command.compile_",
    "verify": "netpol.command.verify",
    "doctor": "netpol.command.doctor",
    "cleanup": "netpol.command.cleanup",
}
"""The modules of the commands. Only the one that is asked for is imported: the demo's alone costs half a second."""

INTERRUPTED = 130
"""What a shell reports for a command that Ctrl-C ended."""


_PORT_BELOW_ZERO = re.compile("-[0-9]+/[A-Za-z]+")


class Command(Protocol):
    """What the module of a command offers."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """The parser knows the command's flags."""

    def run(self, arguments: argparse.Namespace) -> int:
        """The command's work is done; returns the exit status."""


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are errors like all others: one line, status 2."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


class _LenientParser(_Parser):
    """A parser that takes a command line for whole whatever is missing."""

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        """The argument, which nobody has to give."""
        action = super().add_argument(*names, **options)
        action.required = False
        return action


def build_parser(
    names: Iterable[str] = COMMANDS, parser_class: type[argparse.ArgumentParser] = _Parser
) -> argparse.ArgumentParser:
    """The command line of these commands."""
    parser = parser_class(
        prog="netpol",
        description="Kubernetes network policies, enforced and explained; and Services, served by IPVS.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", "-V", action="version", version=f"netpol {netpol.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=parser_class)
    for name in names:
        module = command(name)
        subparser = commands.add_parser(name, help=module.HELP, description=module.HELP, allow_abbrev=False)
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    return parser


def command(name: str) -> Command:
    """The module of the command called `name`."""
    return cast(Command, importlib.import_module(COMMANDS[name]))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        status: int = _run(_with_command(arguments))
        sys.stdout.flush()
    except NetpolError as error:
        for line in str(error).splitlines():
            print(f"netpol: {line}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader went away, as `head` does.
        _close_output()
        return 0
    except OSError as error:
        print(f"netpol: {error}", file=sys.stderr)
        _close_output()
        return NetpolError.exit_status
    return status


def _close_output() -> None:
    """What is still to be printed is lost, and Python does not complain of it once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: list[str]) -> int:
    _refuse_ports_below_zero(arguments)
    names = arguments[:1] if arguments[:1] and arguments[0] in COMMANDS else COMMANDS
    try:
        parsed, unknown = build_parser(names).parse_known_args(arguments)
    except UsageError:
        # What is missing may be what an unknown word was meant to be, so that one is named.
        _refuse(build_parser(names, _LenientParser).parse_known_args(arguments)[1], arguments[:1])
        raise
    _refuse(unknown, arguments[:1])
    status: int = parsed.run(parsed)
    return status


def _refuse(unknown: list[str], command_name: list[str]) -> None:
    """UsageError where a word is unknown."""
    if unknown:
        raise UsageError(f"unknown: {' '.join(unknown)} (see {' '.join(['netpol', *command_name])} --help)")


def _refuse_ports_below_zero(arguments: Iterable[str]) -> None:
    """UsageError where a word is one: argparse would take it for a flag and say that the port is missing."""
    for word in filter(_PORT_BELOW_ZERO.fullmatch, arguments):
        try:
            ProtocolPort.parse(word)
        except ValueError as error:
            raise UsageError(str(error)) from None


def _with_command(arguments: list[str]) -> list[str]:
    """The arguments with `run` put first where they are only flags, as a DaemonSet gives them."""
    if arguments and arguments[0].startswith("-") and arguments[0] not in ("-h", "--help", "-V", "--version"):
        return ["run", *arguments]
    return arguments
