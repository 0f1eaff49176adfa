"""`netpol run`: programs this node's kernel from manifests."""

from __future__ import annotations

import argparse

from netpol.command.arguments import add_source_arguments
from netpol.command.kernel_arguments import (
    add_kernel_arguments,
    chosen_variant,
    open_kernel,
    other_tables,
    require_root,
)
from netpol.command.node_arguments import add_node_arguments, load_for_node, node_options
from netpol.command.switches import Switch, add_switch
from netpol.compiler.compile import compile_ruleset
from netpol.control.programming import Programming, program
from netpol.errors import UsageError

HELP = "program this node's kernel, in the current network namespace"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows this command's flags."""
    add_source_arguments(parser)
    add_node_arguments(parser)
    add_kernel_arguments(parser)
    add_switch(parser, "--run-firewall", Switch.ON, "enforce network policies")
    add_switch(parser, "--run-service-proxy", Switch.OFF, "carry the service proxy")
    add_switch(parser, "--run-router", Switch.OFF, "route the pod network: never; the CNI's own does")
    add_switch(parser, "--once", Switch.OFF, "program the kernel once and exit")


def run(arguments: argparse.Namespace) -> int:
    """Program the kernel and say what changed."""
    _check(arguments)
    options = node_options(arguments)
    require_root("netpol run")
    snapshot = load_for_node(arguments, options)
    variant = chosen_variant(arguments)
    target = Programming(snapshot, compile_ruleset(snapshot, options), options.name)
    with open_kernel(variant) as kernel:
        outcome = program(target, kernel, superseded=other_tables(variant).values())
    print(f"{options.name} ({variant.value}): {outcome}")
    return 0


def _check(arguments: argparse.Namespace) -> None:
    if arguments.run_router:
        raise UsageError("--run-router: the pod network is the CNI's; netpol does not route it")
    if arguments.run_service_proxy:
        raise UsageError("--run-service-proxy: this version has no service proxy")
    if not arguments.run_firewall:
        raise UsageError("--run-firewall=false leaves nothing to run")
    if not arguments.once:
        raise UsageError("this version programs the kernel once: add --once")
