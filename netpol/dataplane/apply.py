"""Carrying out a plan, and taking it back where the kernel refuses a step."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from netpol.dataplane.kernel import Flows, KernelTable, Sets, Tables
from netpol.dataplane.patch import is_written
from netpol.dataplane.plan import Held
from netpol.dataplane.steps import (
    AddMembers,
    CreateSets,
    DestroySets,
    RemoveMembers,
    ReplaceMembers,
    Step,
    WriteTable,
    inverse,
)
from netpol.errors import KernelRefusal
from netpol.model.networks import Family


@dataclass(frozen=True, slots=True)
class Kernel:
    """The writers of one network namespace."""

    sets: Sets
    tables: Tables
    flows: Flows

    def read(self, families: Collection[Family]) -> Held:
        """What the kernel holds of ours.

        A family that is not among `families` has a table here only where an earlier run
        left something in it; one that cannot be read has nothing of ours.
        """
        tables = {family: self.tables.read(family) for family in families}
        others = {family: left_in(self.tables, family) for family in Family if family not in families}
        return Held(self.sets.read(), tables | {family: table for family, table in others.items() if table is not None})


def left_in(tables: Tables, family: Family) -> KernelTable | None:
    """What an earlier run left in a family's table that need not be there: None where that is nothing.

    Where nothing can be read, nothing was written.
    """
    try:
        table = tables.read(family)
    except KernelRefusal:
        return None
    return table if table.chains or any(table.hooks.values()) else None


def apply(steps: Sequence[Step], kernel: Kernel) -> None:
    """Carry out every step in order, or none: where one is refused, those before it are taken back.

    Raises KernelRefusal with what was refused, and with what could not be taken back either.
    """
    done: list[Step] = []
    for step in steps:
        try:
            _carry_out(step, kernel)
        except KernelRefusal as refusal:
            not_taken_back = _take_back(step, done, kernel)
            raise KernelRefusal("; ".join([str(refusal), *not_taken_back])) from refusal
        done.append(step)


def _take_back(failed: Step, done: Sequence[Step], kernel: Kernel) -> list[str]:
    """What was refused on the way back, in words; the rest of the way is gone all the same."""
    refused: list[str] = []
    for step in (failed, *reversed(done)):
        try:
            part = _part_done(step, kernel) if step is failed else step
            for back in () if part is None else inverse(part):
                _carry_out(back, kernel)
        except KernelRefusal as refusal:
            refused.append(f"not taken back: {refusal}")
    return refused


def _part_done(step: Step, kernel: Kernel) -> Step | None:
    """The part of a refused step that was carried out, or may have been; None where nothing was.

    Members that are not there can be removed, and those that are can be added. Sets are
    looked for: a set that is here and has members is not one that was just created. A table
    is written all or nothing, but the tool that did it may have been killed before it said so.
    """
    match step:
        case CreateSets(sets):
            held = kernel.sets.read()
            return CreateSets(tuple(each for each in sets if each.name in held and not held[each.name].members))
        case DestroySets(sets):
            held = kernel.sets.read()
            return DestroySets(tuple(each for each in sets if each.name not in held))
        case WriteTable(family=family):
            return step if is_written(step, kernel.tables.read(family)) else None
        case _:
            return step


def _carry_out(step: Step, kernel: Kernel) -> None:
    match step:
        case CreateSets(sets):
            kernel.sets.create(sets)
        case AddMembers(target, members) | ReplaceMembers(target, members):
            kernel.sets.add(target, members)
        case RemoveMembers(target, members):
            kernel.sets.remove(target, members)
        case WriteTable(family=family, lines=lines):
            kernel.tables.write(family, lines)
        case DestroySets(sets):
            kernel.sets.destroy(each.name for each in sets)
