"""Flags that say which node is meant, and what the compiler is told of it."""

from __future__ import annotations

import argparse
import os
import socket

from netpol.command.switches import Switch, add_switch
from netpol.errors import UsageError
from netpol.model.networks import Family, Network, parse_network
from netpol.settings import NodeOptions


def add_node_arguments(parser: argparse.ArgumentParser) -> None:
    """Let the parser take the flags of `node_options`."""
    parser.add_argument(
        "--hostname-override", metavar="NODE", help="the node's name (default: $NODE_NAME, else the host's name)"
    )
    parser.add_argument(
        "--pod-cidr",
        metavar="CIDR",
        action="append",
        default=[],
        type=_network,
        help="the node's pod range where its Node object states none; may be repeated",
    )
    add_switch(parser, "--fail-open", Switch.OFF, "let addresses of the pod range pass that no known pod has (G12)")
    add_switch(parser, "--enable-ipv4", Switch.ON, "write IPv4 rules")
    add_switch(parser, "--enable-ipv6", Switch.ON, "write IPv6 rules")


def node_options(arguments: argparse.Namespace) -> NodeOptions:
    """What the flags, else the environment and the host, say of the node."""
    enabled = {Family.IPV4: arguments.enable_ipv4, Family.IPV6: arguments.enable_ipv6}
    families = tuple(family for family in Family if enabled[family])
    if not families:
        raise UsageError("--enable-ipv4 and --enable-ipv6 are both false: nothing is left to do")
    name = arguments.hostname_override or os.environ.get("NODE_NAME") or socket.gethostname().lower()
    return NodeOptions(name, families, tuple(arguments.pod_cidr), fail_open=arguments.fail_open)


def _network(text: str) -> Network:
    try:
        return parse_network(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
