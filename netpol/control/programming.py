"""Programming a kernel once: read it, plan the difference, apply it, cut what is newly denied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from netpol.compiler.names import cut_set, unknown_set
from netpol.compiler.ruleset import IpSet, Ruleset
from netpol.control.answering import answering_sides, flows_answered
from netpol.control.clearing import clear_tables
from netpol.control.cutting import UnknownAddresses, denied_flows
from netpol.dataplane.addresses import local_addresses
from netpol.dataplane.apply import Kernel, apply, left_in
from netpol.dataplane.kernel import Tables
from netpol.dataplane.plan import Held, plan
from netpol.dataplane.steps import (
    AddMembers,
    CreateSets,
    DestroySets,
    RemoveMembers,
    ReplaceMembers,
    Step,
    WriteTable,
)
from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.model.snapshot import Snapshot

ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What programming changed: the steps carried out, chains of other variants removed, living connections cut."""

    steps: tuple[Step, ...]
    superseded_chains: int = 0
    flows_cut: int = 0

    def __str__(self) -> str:
        """
        >>> str(Outcome(())), str(Outcome((), flows_cut=2))
        ('nothing to change', '2 connections cut')
        """
        counts = _counts(self.steps) | {
            "chains of another variant removed": self.superseded_chains,
            "connections cut": self.flows_cut,
        }
        return ", ".join(f"{number} {what}" for what, number in counts.items() if number) or "nothing to change"


@dataclass(frozen=True, slots=True)
class Programming:
    """What a node's kernel is to hold, and the snapshot it was compiled from."""

    snapshot: Snapshot
    ruleset: Ruleset
    node: str


def program(target: Programming, kernel: Kernel, superseded: Iterable[Tables] = ()) -> Outcome:
    """Make the kernel hold the target's ruleset, writing only the difference, and cut the connections it denies (G11).

    `superseded` are the tables of other variants. What an earlier run left there goes once
    the kernel's own tables judge every packet, and only then do the sets go that it used.
    Connections are looked for whether or not a rule changes: an earlier run may have ended
    before it cut them.

    Raises KernelRefusal. Refused rules leave the kernel as it was.
    """
    ruleset = target.ruleset
    former = [tables for tables in superseded if any(left_in(tables, family) for family in Family)]
    first = _converge(kernel, ruleset.tables, partial(_with_stale_sets, ruleset))[0] if former else ()
    cleared = sum(map(_clear, former))
    steps, held = _converge(kernel, ruleset.tables, lambda _: ruleset)
    return Outcome(first + steps, cleared, _cut(target, kernel, held.sets))


def _converge(
    kernel: Kernel, families: Collection[Family], desired: Callable[[Held], Ruleset]
) -> tuple[tuple[Step, ...], Held]:
    """The steps applied, and what was held before them; where another writer changed that, it is read again."""
    held = kernel.read(families)
    attempts_left = ATTEMPTS
    while True:
        steps = plan(desired(held), held)
        try:
            apply(steps, kernel)
        except KernelRefusal:
            attempts_left -= 1
            before, held = held, kernel.read(families)
            if not attempts_left or held == before:
                raise
        else:
            return steps, held


def _with_stale_sets(ruleset: Ruleset, held: Held) -> Ruleset:
    """The ruleset, and beside it the sets that are not its own any more."""
    return replace(ruleset, sets={**held.sets, **ruleset.sets})


def _clear(tables: Tables) -> int:
    """How many chains are gone; KernelRefusal where some are not."""
    cleared = clear_tables(tables, [family for family in Family if left_in(tables, family)])
    if cleared.left:
        raise KernelRefusal("; ".join(cleared.left))
    return cleared.chains


def _cut(target: Programming, kernel: Kernel, held: Mapping[str, IpSet]) -> int:
    """How many living connections are gone.

    Who answered one of UDP is remembered first, so that no datagram of theirs comes in between,
    and forgotten once the policies allow the connection again.
    """
    flows = {family: kernel.flows.read(family) for family in target.ruleset.tables}
    remembered = {family: held.get(cut_set(family), target.ruleset.sets[cut_set(family)]) for family in flows}
    if not any(flows.values()) and not any(each.members for each in remembered.values()):
        return 0
    local = local_addresses()
    cut = 0
    for family, sides in remembered.items():
        unknown = UnknownAddresses.of(target.ruleset.sets[unknown_set(family)])
        refused = partial(denied_flows, target.snapshot, target.node, local, unknown=unknown)
        denied = refused(flows[family])
        try:
            kernel.sets.add(sides, answering_sides(denied))
        finally:
            # A set without room is told, and no reason to let connections live.
            kernel.flows.delete(family, denied)
        kernel.sets.remove(sides, sides.members - answering_sides(refused(flows_answered(sides))))
        cut += len(denied)
    return cut


def _counts(steps: Iterable[Step]) -> dict[str, int]:
    """What the steps come to, in the order of a plan."""
    counts: Counter[str] = Counter()
    for step in steps:
        match step:
            case CreateSets(sets):
                counts["sets created"] += len(sets)
            case AddMembers(members=members):
                counts["members added"] += len(members)
            case ReplaceMembers(members=members):
                counts["members changed"] += len(members)
            case RemoveMembers(members=members):
                counts["members removed"] += len(members)
            case WriteTable(chains=chains):
                counts["chains written"] += len(chains)
                counts["tables hooked anew"] += not chains
            case DestroySets(sets):
                counts["sets destroyed"] += len(sets)
    return counts
