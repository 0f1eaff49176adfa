"""Flags that say which node is meant, and what the compiler is told of it."""

from __future__ import annotations

import argparse
import os
import socket
import sys

from netpol.command.arguments import Once, load_snapshot
from netpol.command.switches import Switch, add_switch
from netpol.errors import UsageError
from netpol.listing import listed
from netpol.model.networks import Family, Network, parse_network
from netpol.model.snapshot import Snapshot
from netpol.settings import NodeOptions

MOST_NODES = 5


def add_node_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows the flags of `node_options`."""
    parser.add_argument(
        "--hostname-override",
        action=Once,
        metavar="NODE",
        help="the node's name (default: $NODE_NAME, else the host's name)",
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


def load_for_node(arguments: argparse.Namespace, options: NodeOptions) -> Snapshot:
    """The manifests' snapshot; UsageError where they name nodes and this one is none of them.

    A mistyped name means a ruleset without pods, which opens every pod that is here. Manifests
    without Node objects cannot tell: then a node without a pod is only warned of.
    """
    snapshot = load_snapshot(arguments).snapshot
    if options.name not in snapshot.nodes and all(pod.node != options.name for pod in snapshot.pods.values()):
        if snapshot.nodes:
            known = listed(sorted(snapshot.nodes), MOST_NODES)
            raise UsageError(f"no node is named {options.name}; the manifests name {known} (--hostname-override)")
        print(
            f"warning: the manifests have neither a node nor a pod of {options.name}, so nothing is enforced there; "
            "is --hostname-override right?",
            file=sys.stderr,
        )
    return snapshot


def _network(text: str) -> Network:
    try:
        return parse_network(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
