"""The flags that say how the kernel is written."""

from __future__ import annotations

import argparse
import os

from netpol.dataplane.variant import detect
from netpol.errors import NetpolError
from netpol.settings import Variant

AUTO = "auto"


def add_kernel_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows --iptables-variant."""
    parser.add_argument(
        "--iptables-variant",
        choices=(AUTO, *(variant.value for variant in Variant)),
        default=AUTO,
        help="the variant of iptables to write: nft, legacy, or the one the host uses itself (auto, the default)",
    )


def require_root(command: str) -> None:
    """The process may see and change the kernel's rules; NetpolError where it may not."""
    if os.geteuid() != 0:
        raise NetpolError(f"{command} needs root: nobody else sees or changes the kernel's ipsets and rules")


def chosen_variant(arguments: argparse.Namespace) -> Variant:
    """The variant that the flag names, else the one that the host uses."""
    return named_variant(arguments) or detect()


def named_variant(arguments: argparse.Namespace) -> Variant | None:
    """The variant that the flag names; None where it is to be found out."""
    return None if arguments.iptables_variant == AUTO else Variant(arguments.iptables_variant)
