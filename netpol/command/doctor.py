"""`netpol doctor`: what this host lacks for each function, each with its mend."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Collection, Iterator, Sequence

from netpol.command.arguments import add_output_argument
from netpol.command.look import Look, Paint, look_of
from netpol.command.node_arguments import add_node_arguments, load_for_node, node_options
from netpol.command.source_arguments import add_source_arguments
from netpol.doctor.checks import BOTH_FIREWALLS, Check, Function, State, firewall_can_run, needed, state_of, stopping
from netpol.doctor.diagnosis import diagnose
from netpol.doctor.pod_range import pod_range_checks
from netpol.doctor.probe import probe

HELP = "say what this host lacks for each function, and how to mend it"

_PAINTS = {
    State.OK: Paint.ALLOWED,
    State.WARNING: Paint.HEADING,
    State.UNKNOWN: Paint.HEADING,
    State.MISSING: Paint.REFUSED,
}
_STATE_WIDTH = max(len(state.value) for state in State)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows this command's flags."""
    add_output_argument(parser, "text")
    add_source_arguments(parser)
    add_node_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """0 where the firewall can run on this host, 1 where it cannot."""
    checks = (*diagnose(probe()), *_checks_of_node(arguments))
    if arguments.output == "json":
        print(json.dumps(report_json(checks), indent=2))
    else:
        look = look_of(sys.stdout, os.environ, shutil.get_terminal_size().columns)
        print("\n".join(report_text(checks, look)))
    return 0 if firewall_can_run(checks) else 1


def _checks_of_node(arguments: argparse.Namespace) -> list[Check]:
    """What the cluster's objects say of the node, where the flags name a place to find them."""
    if not (arguments.filename or arguments.kubeconfig or arguments.master):
        return []
    options = node_options(arguments)
    return pod_range_checks(load_for_node(arguments, options).nodes.get(options.name), options)


def report_text(checks: Sequence[Check], look: Look) -> list[str]:
    """The checks as a person reads them: each under the first function it is for, and the verdicts last."""
    width = max((len(check.name) for check in checks), default=0)
    lines: list[str] = []
    for function in Function:
        lines.append(_heading(function, checks, look))
        for check in checks:
            if check.functions[0] is function:
                lines += _entry(check, width, look)
        lines.append("")
    return [*lines, firewall_verdict(checks), proxy_verdict(checks)]


def report_json(checks: Sequence[Check]) -> dict[str, object]:
    """The checks as a program reads them."""
    return {
        "firewall_can_run": firewall_can_run(checks),
        "functions": {function.value: state_of(function, checks).value for function in Function},
        "checks": [
            {
                "name": check.name,
                "functions": [function.value for function in check.functions],
                "state": check.state.value,
                "found": check.found,
                "mend": check.mend or None,
            }
            for check in checks
        ],
    }


def firewall_verdict(checks: Sequence[Check]) -> str:
    """The line that says whether the firewall can run on this host."""
    said = _verdict("firewall", BOTH_FIREWALLS, checks)
    if firewall_can_run(checks) or state_of(Function.FIREWALL_IPV4, checks).stops:
        return said
    return f"{said}; for IPv4 alone it can: netpol run --enable-ipv6=false"


def proxy_verdict(checks: Sequence[Check]) -> str:
    """The line that says whether the service proxy can run on this host."""
    return _verdict("service proxy", (Function.SERVICE_PROXY,), checks)


def _verdict(subject: str, functions: Collection[Function], checks: Sequence[Check]) -> str:
    unable, unknown = (
        f"The {subject} cannot run on this host",
        f"Whether the {subject} can run on this host is not known",
    )
    for state, words in ((State.MISSING, unable), (State.UNKNOWN, unknown)):
        lacking = [check.name for check in stopping(checks, functions) if check.state is state]
        if lacking:
            return f"{words}: {', '.join(dict.fromkeys(lacking))}"
    warnings = sum(check.state is State.WARNING for check in needed(checks, functions))
    noted = f", with {warnings} warning{'s' if warnings > 1 else ''}" if warnings else ""
    return f"The {subject} can run on this host{noted}."


def _heading(function: Function, checks: Sequence[Check], look: Look) -> str:
    """The function and its state; what it lacks is named, wherever it is listed."""
    state = state_of(function, checks)
    lacking = dict.fromkeys(check.name for check in checks if function in check.functions and check.state.stops)
    reasons = f" ({', '.join(lacking)})" if lacking else ""
    return f"{look.painted(function.value, Paint.HEADING)}: {look.painted(state.value, _PAINTS[state])}{reasons}"


def _entry(check: Check, width: int, look: Look) -> Iterator[str]:
    state = look.painted(f"{check.state.value:<{_STATE_WIDTH}}", _PAINTS[check.state])
    yield f"  {state}  {check.name:<{width}}  {check.found}"
    if check.mend:
        yield f"  {'':<{_STATE_WIDTH}}  {'':<{width}}  mend: {check.mend}"
