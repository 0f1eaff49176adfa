"""What programming a kernel has changed, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from netpol.dataplane.steps import (
    AddMembers,
    CreateSets,
    DestroySets,
    RemoveMembers,
    ReplaceMembers,
    Step,
    WriteTable,
)


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
