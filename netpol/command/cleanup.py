"""`netpol cleanup`: removes all that netpol made in this network namespace, and nothing else."""

from __future__ import annotations

import argparse
import sys

from netpol.command.kernel_arguments import require_root
from netpol.dataplane.clearing import clear
from netpol.dataplane.ipset import NetlinkSets
from netpol.dataplane.iptables import IptablesTables
from netpol.dataplane.variant import variants_present
from netpol.model.networks import Family

HELP = "remove all chains, rules and sets of ours: both families, both variants of iptables"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows this command's flags: it has none."""


def run(arguments: argparse.Namespace) -> int:  # noqa: ARG001  every command has this signature
    """0 where nothing of ours is left, 1 where somebody else uses some of it, which is then named."""
    require_root("netpol cleanup")
    variants = variants_present()
    with NetlinkSets() as sets:
        cleared = clear([IptablesTables(variant) for variant in variants], sets, tuple(Family))
    print(cleared)
    for line in cleared.left:
        print(f"netpol: left: {line}", file=sys.stderr)
    if cleared.left and not variants:
        print("netpol: left: every chain: no iptables works here: install the package iptables", file=sys.stderr)
    return 1 if cleared.left else 0
