"""Flags that say which node is meant, and what the compiler is told of it."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Collection

from netpol.command.arguments import Once
from netpol.command.networks import network, networks
from netpol.command.source_arguments import load_snapshot
from netpol.command.switches import Switch, add_switch
from netpol.command.treatment_arguments import add_treatment_arguments, treatment
from netpol.errors import UsageError
from netpol.model.facts import FIREWALL_KINDS, Kind
from netpol.model.networks import Family, Network, family_of
from netpol.model.snapshot import Snapshot
from netpol.settings import NodeOptions
from netpol.source.presence import require_node


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
        type=network,
        help="the node's pod range where its Node object states none; may be repeated",
    )
    parser.add_argument(
        "--cluster-cidr",
        metavar="CIDR[,CIDR]",
        action="extend",
        default=[],
        type=networks,
        help="all nodes' pod ranges: stands for the node's own where neither its Node object nor --pod-cidr states one",
    )
    add_switch(parser, "--fail-open", Switch.OFF, "let addresses of the pod range pass that no known pod has (G12)")
    add_switch(parser, "--enable-ipv4", Switch.ON, "write IPv4 rules")
    add_switch(parser, "--enable-ipv6", Switch.ON, "write IPv6 rules")
    add_treatment_arguments(parser)


def node_options(arguments: argparse.Namespace) -> NodeOptions:
    """What the flags, else the environment and the host, say of the node."""
    enabled = {Family.IPV4: arguments.enable_ipv4, Family.IPV6: arguments.enable_ipv6}
    families = tuple(family for family in Family if enabled[family])
    if not families:
        raise UsageError("--enable-ipv4 and --enable-ipv6 are both false: nothing is left to do")
    name = arguments.hostname_override or os.environ.get("NODE_NAME") or socket.gethostname().lower()
    return NodeOptions(
        name,
        families,
        _pod_cidrs(arguments),
        fail_open=arguments.fail_open,
        log_group=arguments.nflog_group,
        treatment=treatment(arguments),
    )


def load_for_node(
    arguments: argparse.Namespace, options: NodeOptions, kinds: Collection[Kind] = FIREWALL_KINDS
) -> Snapshot:
    """The source's snapshot of these kinds; UsageError where its objects name nodes and this one is none of them."""
    snapshot = load_snapshot(arguments, kinds).snapshot
    objects = "the manifests" if arguments.filename else "the API server's objects"
    if doubt := require_node(snapshot, options.name, objects):
        print(f"warning: {doubt}", file=sys.stderr)
    return snapshot


def _pod_cidrs(arguments: argparse.Namespace) -> tuple[Network, ...]:
    """The node's ranges as far as flags state them, and the cluster's of a family that they state none of."""
    stated = {family_of(network) for network in arguments.pod_cidr}
    return (*arguments.pod_cidr, *(network for network in arguments.cluster_cidr if family_of(network) not in stated))
