"""`netpol run`: programs this node's kernel from manifests."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

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
from netpol.dataplane.bridges import bridges_with_ports, unfiltered
from netpol.errors import UsageError
from netpol.listing import listed
from netpol.model.networks import Family

MOST_BRIDGES = 3

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
    _warn_of_bridges(options.families)
    return 0


def _warn_of_bridges(families: Iterable[Family]) -> None:
    """Packets between two pods of one bridge meet no rule at all unless the kernel is told to show them."""
    bridges, settings = bridges_with_ports(), unfiltered(families)
    if bridges and settings:
        where, how = listed(bridges, MOST_BRIDGES), " ".join(f"{name}=1" for name in settings)
        print(f"warning: packets between pods on the bridge {where} pass unseen: sysctl -w {how}", file=sys.stderr)


def _check(arguments: argparse.Namespace) -> None:
    if arguments.run_router:
        raise UsageError("--run-router: the pod network is the CNI's; netpol does not route it")
    if arguments.run_service_proxy:
        raise UsageError("--run-service-proxy: this version has no service proxy")
    if not arguments.run_firewall:
        raise UsageError("--run-firewall=false leaves nothing to run")
    if not arguments.once:
        raise UsageError("this version programs the kernel once: add --once")
