"""Rules that log to NFLOG in the network namespace of the caller, and how many packets met them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence

from netpol.compiler.compile import compile_ruleset
from netpol.dataplane.apply import apply
from netpol.dataplane.opening import open_kernel
from netpol.dataplane.plan import plan
from netpol.model.networks import Family
from netpol.model.snapshot import Snapshot
from netpol.settings import NodeOptions, Variant

_TOOLS = {Family.IPV4: "iptables-nft", Family.IPV6: "ip6tables-nft"}
_COUNTED = re.compile(r"\[(\d+):\d+\] -A INPUT .*-j NFLOG")


def write_ours(families: Sequence[Family] = tuple(Family)) -> None:
    """The rules that a node without pods has."""
    options = NodeOptions("node", families=tuple(families))
    with open_kernel(Variant.NFT) as kernel:
        apply(plan(compile_ruleset(Snapshot.of(), options), kernel.read(options.families)), kernel)


def refuse_arriving(match: str, prefix: str, group: int = 100, family: Family = Family.IPV4) -> None:
    """What arrives and matches is logged with the prefix, and dropped."""
    lines = ("*filter", f"-A INPUT {match} -j NFLOG --nflog-prefix {prefix} --nflog-group {group}")
    text = "\n".join((*lines, f"-A INPUT {match} -j DROP", "COMMIT", ""))
    subprocess.run([f"{_TOOLS[family]}-restore", "-n"], input=text, text=True, check=True, capture_output=True)


def logged_arriving(family: Family = Family.IPV4) -> int:
    """How many packets those rules have logged."""
    listed = subprocess.run([f"{_TOOLS[family]}-save", "-c"], check=True, capture_output=True, text=True).stdout
    return sum(map(int, _COUNTED.findall(listed)))
