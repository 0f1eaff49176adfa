"""Taking away all that is ours, whatever state it is in, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from netpol.compiler import names
from netpol.dataplane.kernel import HookRule, Sets, Tables
from netpol.dataplane.patch import write_table
from netpol.dataplane.render import RenderedTable
from netpol.dataplane.ruletext import destination, split
from netpol.dataplane.steps import WriteTable, references_first
from netpol.errors import KernelRefusal
from netpol.model.networks import Family

SHARED = frozenset(map(names.services_set, Family))
"""The sets that the firewall's rules and the service proxy's both use."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was there of ours and is gone, and what could not be removed and why.

    Virtual servers and the addresses of services are what stands beside rules and sets.
    """

    chains: int = 0
    sets: int = 0
    servers: int = 0
    addresses: int = 0
    left: tuple[str, ...] = ()

    def __add__(self, other: Cleared) -> Cleared:
        return Cleared(
            self.chains + other.chains,
            self.sets + other.sets,
            self.servers + other.servers,
            self.addresses + other.addresses,
            self.left + other.left,
        )

    def __str__(self) -> str:
        """
        >>> str(Cleared()), str(Cleared(3, 2, servers=4))
        ('nothing of ours was there', '3 chains and 2 sets removed, 4 virtual servers')
        """
        if self == Cleared():
            return "nothing of ours was there"
        beside = {"virtual servers": self.servers, "service addresses": self.addresses}
        words = (f"{number} {what}" for what, number in beside.items() if number)
        return ", ".join((f"{self.chains} chains and {self.sets} sets removed", *words))


def clear(
    tables: Iterable[Tables], sets: Sets, families: Sequence[Family], spared: Collection[str] = frozenset()
) -> Cleared:
    """Remove our hooks, chains and sets: those of the owner that `tables` and `sets` are of.

    What rules or sets of others still use is left and named: a chain is empty then, which lets every packet pass.
    A set that two owners share is left to the other one without a word, where that one's rules use it, or it is
    among the `spared`.
    """
    cleared = sum((clear_tables(table, families) for table in tables), Cleared())
    return cleared + _clear_sets(sets, spared)


def clear_tables(tables: Tables, families: Sequence[Family]) -> Cleared:
    """Remove our hooks and chains of one variant; the sets stay."""
    return sum((_clear_table(tables, family) for family in families), Cleared())


def _clear_table(tables: Tables, family: Family) -> Cleared:
    try:
        removal = write_table(family, RenderedTable({}, {}), tables.read(family))
        return Cleared() if removal is None else _write_removal(tables, removal)
    except KernelRefusal as refusal:
        return Cleared(left=(str(refusal),))


def _write_removal(tables: Tables, step: WriteTable) -> Cleared:
    """All at once; where that is refused, all but the chains that somebody else's rules lead to."""
    try:
        tables.write(step.family, step.lines)
    except KernelRefusal:
        tables.write(step.family, [line for line in step.lines if not line.startswith("-X ")])
        left = tuple(_remove_chains(tables, step.family, step.chains))
        return Cleared(len(step.chains) - len(left), left=left)
    return Cleared(len(step.chains))


def _remove_chains(tables: Tables, family: Family, chains: Iterable[str]) -> Iterator[str]:
    """Each chain is gone, or is told with the rules of others that lead to it."""
    strays = tables.read(family).strays
    for name in chains:
        try:
            tables.write(family, [f"-X {name}"])
        except KernelRefusal as refusal:
            leading = "; ".join(_leading_to(name, strays)) or str(refusal)
            yield f"chain {name} of IPv{family.value} cannot be removed: {leading}"


def _leading_to(name: str, strays: Mapping[str, Sequence[HookRule]]) -> Iterator[str]:
    for chain, rules in strays.items():
        for rule in rules:
            if destination(split(rule.text)) == name:
                yield f"rule {rule.position} of chain {chain} leads to it ({rule.text})"


def _clear_sets(sets: Sets, spared: Collection[str]) -> Cleared:
    """All at once: a set in use is waited for, and many are waited for together."""
    try:
        held = sets.read()
    except KernelRefusal as refusal:
        return Cleared(left=(str(refusal),))
    own = references_first(each for name, each in held.items() if name not in SHARED)
    refused: list[str] = []
    try:
        sets.destroy([each.name for each in own])
    except KernelRefusal as refusal:
        left = sorted(sets.read().keys() - SHARED)
        others = (f"ipset {name} cannot be destroyed either" for name in left if name not in str(refusal))
        refused = [str(refusal), *others]
    refused += _release(sets, [name for name in held if name in SHARED and name not in spared])
    return Cleared(sets=len(held) - len(sets.read()), left=tuple(refused))


def _release(sets: Sets, shared: Sequence[str]) -> list[str]:
    """These sets are gone, or the other owner uses them; what else the kernel refuses, in words."""
    try:
        # Rules that were deleted a moment ago may still hold them, which is waited for.
        sets.destroy(shared)
    except KernelRefusal:
        try:
            for name in shared:
                sets.destroy_unused(name)
        except KernelRefusal as refusal:
            return [str(refusal)]
    return []
