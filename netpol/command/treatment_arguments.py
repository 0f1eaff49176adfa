"""The flags that say what becomes of a verdict: what the kernel logs of it, and how it refuses."""

from __future__ import annotations

import argparse

from netpol.command.switches import Switch, add_switch
from netpol.model.treatment import AuditLevel, DenyAction, Treatment
from netpol.settings import LOG_GROUP

_HIGHEST_GROUP = 65535


def add_treatment_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows the flags of `treatment`, and --nflog-group."""
    add_switch(parser, "--audit-allows", Switch.OFF, "record also what policies allow, by its first packet")
    parser.add_argument(
        "--deny-action",
        choices=[each.value for each in DenyAction],
        default=Treatment().deny_action.value,
        help="what becomes of a refused packet; reject tells its sender (default drop)",
    )
    parser.add_argument(
        "--nflog-group",
        type=_group,
        default=LOG_GROUP,
        metavar="N",
        help=f"the group that the kernel logs packets to, which nobody else may read (default {LOG_GROUP})",
    )


def treatment(arguments: argparse.Namespace) -> Treatment:
    """What is recorded and how refusals are carried out where a namespace says nothing else."""
    level = AuditLevel.ALLOWS if arguments.audit_allows else AuditLevel.DENIES
    return Treatment(level, DenyAction(arguments.deny_action))


def _group(text: str) -> int:
    group = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else -1
    if not 1 <= group <= _HIGHEST_GROUP:
        raise argparse.ArgumentTypeError(f"{text!r} is no group of 1 to {_HIGHEST_GROUP}")
    return group
