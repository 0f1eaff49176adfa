"""What a node's kernel holds, as the tools print it: everybody's rules and sets, or only those of others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from cluster import Cluster

from netpol.compiler.names import is_ours
from netpol.dataplane.iptables import tool_name
from netpol.model.networks import Family
from netpol.settings import Variant

# A hash grows as members come and never shrinks, and every one is seeded anew.
_OF_THE_HASH = re.compile(r" (?:hashsize|initval|bucketsize) \S+")


@dataclass(frozen=True, slots=True)
class KernelText:
    """Lines of `ipset save` and of every `iptables-save`, without times and what a built-in chain counts."""

    sets: tuple[str, ...]
    tables: dict[str, tuple[str, ...]]

    @property
    def of_others(self) -> KernelText:
        """The lines that neither make, fill nor lead to anything of ours."""
        return KernelText(
            tuple(line for line in self.sets if not is_ours(line.split()[1])),
            {tool: tuple(line for line in lines if not _is_ours(line)) for tool, lines in self.tables.items()},
        )

    @property
    def of_ours(self) -> KernelText:
        """The lines that make, fill or lead to something of ours."""
        return KernelText(
            tuple(line for line in self.sets if is_ours(line.split()[1])),
            {tool: tuple(line for line in lines if _is_ours(line)) for tool, lines in self.tables.items()},
        )

    @property
    def holds_ours(self) -> bool:
        """True where anything is of ours."""
        ours = self.of_ours
        return bool(ours.sets) or any(ours.tables.values())


def kernel_text(cluster: Cluster, node: str = "one", *, counters: bool = False) -> KernelText:
    """What the kernel of `node` holds, in both variants and families."""
    saved = cluster.shell(node, "ipset", "save").splitlines()
    return KernelText(
        tuple(sorted(_OF_THE_HASH.sub("", line) for line in saved)),
        {tool: tuple(_saved(cluster, node, tool, counters=counters)) for tool in _tools()},
    )


def packets_logged(cluster: Cluster, chain: str, family: Family, node: str = "one") -> int:
    """How many packets the one rule of the chain that logs has met since it was written."""
    saved = cluster.shell(node, tool_name(cluster.variant, family, "save"), "-c", "-t", "filter")
    (packets,) = re.findall(rf"^\[(\d+):\d+\] -A {chain} .*-j NFLOG", saved, re.MULTILINE)
    return int(packets)


def _tools() -> Iterator[str]:
    return (
        f"{'iptables' if family is Family.IPV4 else 'ip6tables'}-{variant.value}-save"
        for variant in Variant
        for family in Family
    )


def _saved(cluster: Cluster, node: str, tool: str, *, counters: bool) -> Iterator[str]:
    printed = cluster.shell(node, tool, *(["-c"] if counters else []))
    for line in printed.splitlines():
        if line.startswith(":"):
            # A built-in chain counts whatever its namespace says to its neighbours.
            yield line.partition(" [")[0]
        elif not line.startswith("#"):
            yield line


def _is_ours(line: str) -> bool:
    """True for a chain of ours, a rule in one, and a rule that leads to one."""
    words = line.split()
    if line.startswith(":"):
        return is_ours(words[0][1:])
    return any(is_ours(word) for before, word in pairwise(words) if before in ("-A", "-j", "-g"))
