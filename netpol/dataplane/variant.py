"""Which variant of iptables the host uses, so that its rules and ours meet in the same table.

Nothing here makes a table: the tools are asked for all there are, never for one by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from netpol.dataplane.iptables import tool_name
from netpol.dataplane.ownership import FIREWALL
from netpol.dataplane.ruletext import destination, split
from netpol.dataplane.tool import ToolMissing, run_tool
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.settings import Variant

_HINTS = re.compile(r"^:KUBE-(?:IPTABLES-HINT|KUBELET-CANARY) ", re.MULTILINE)
_CHAIN = re.compile(r"^:(\S+) ", re.MULTILINE)
_RULE = re.compile(r"^(?:\[\d+:\d+\] )?-A (\S+) ?(.*)", re.MULTILINE)

_LEGACY_MODULE = Path("/proc/net/ip_tables_names")


def detect() -> Variant:
    """The variant that the host's rules are in.

    Kubelet leaves a chain in the one it uses; failing that, more rules of others decide,
    then what plain `iptables` is. KernelRefusal where no variant works here.
    """
    present = variants_present()
    if not present:
        raise KernelRefusal(
            "no variant of iptables works here: install the package iptables, and see that the kernel has nf_tables"
        )
    if len(present) == 1:
        return present[0]
    saved = {variant: _saved(variant) for variant in present}
    hinted = [variant for variant, text in saved.items() if _HINTS.search(text)]
    if len(hinted) == 1:
        return hinted[0]
    foreign = {variant: _foreign_rules(text) for variant, text in saved.items()}
    if len(set(foreign.values())) > 1:
        return max(present, key=lambda variant: foreign[variant])
    return _plain()


def variants_present() -> tuple[Variant, ...]:
    """The variants whose tools are installed and whose half of the kernel is there."""
    return tuple(variant for variant in Variant if _works(variant))


def holds(variant: Variant, is_ours: Callable[[str], bool]) -> bool:
    """True where a table of the variant, of whichever family, has such a chain; one that does not work here has none.

    Each tool that is started costs milliseconds, and one for each family tells of all tables.
    """
    try:
        return any(map(is_ours, _CHAIN.findall(_saved(variant))))
    except KernelRefusal:
        return False


def _works(variant: Variant) -> bool:
    try:
        run_tool((tool_name(variant, Family.IPV4, "restore"), "--version"))
        if run_tool((tool_name(variant, Family.IPV4, "save"),)).status != 0:
            return False
        # The nft tool has just spoken to its half of the kernel. The legacy one speaks to
        # its own only when asked for a table, which it makes: in a namespace thrown away.
        return variant is Variant.NFT or _LEGACY_MODULE.exists() or _makes_legacy_table()
    except KernelRefusal:
        return False


def _makes_legacy_table() -> bool:
    return run_tool(("unshare", "--net", tool_name(Variant.LEGACY, Family.IPV4, "save"), "-t", "filter")).status == 0


def _saved(variant: Variant) -> str:
    """All tables of both families; a family the kernel lacks has none."""
    outcomes = [run_tool((tool_name(variant, family, "save"),)) for family in Family]
    return "\n".join(outcome.output for outcome in outcomes if outcome.status == 0)


def _foreign_rules(saved: str) -> int:
    """How many rules are neither in chains of the firewall's or its neighbours', nor lead to one."""
    return sum(
        not _is_known(chain) and not _is_known(destination(split(rule)) or "") for chain, rule in _RULE.findall(saved)
    )


def _is_known(chain: str) -> bool:
    return FIREWALL.is_ours(chain) or FIREWALL.is_neighbours(chain)


def _plain() -> Variant:
    """What plain `iptables` writes to; nft, the one that distributions choose, where there is no plain one."""
    try:
        version = run_tool(("iptables", "--version")).output
    except ToolMissing:
        return Variant.NFT
    return Variant.NFT if "nf_tables" in version else Variant.LEGACY
