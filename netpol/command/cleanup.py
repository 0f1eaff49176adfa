"""`netpol cleanup`: removes all that netpol made in this network namespace, and nothing else."""

from __future__ import annotations

import argparse
import sys

from netpol.agent.clearing import clear_all
from netpol.command.kernel_arguments import require_root
from netpol.dataplane.variant import variants_present

HELP = "remove all that is ours: rules and sets, virtual servers and service addresses, of both families and variants"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows this command's flags: it has none."""


def run(arguments: argparse.Namespace) -> int:  # noqa: ARG001  every command has this signature
    """0 where nothing of ours is left, 1 where somebody else uses some of it, which is then named."""
    require_root("netpol cleanup")
    variants = variants_present()
    removed = clear_all(variants)
    print(removed)
    for line in removed.left:
        print(f"netpol: left: {line}", file=sys.stderr)
    if removed.left and not variants:
        print("netpol: left: every chain: no iptables works here: install the package iptables", file=sys.stderr)
    return 1 if removed.left else 0
