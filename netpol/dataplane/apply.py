"""Carrying out a plan, and taking it back where the kernel refuses a step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from netpol.dataplane.kernel import Flows, Sets, Tables
from netpol.dataplane.plan import (
    AddMembers,
    CreateSets,
    DestroySets,
    Held,
    RemoveMembers,
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

    def read(self, families: Iterable[Family]) -> Held:
        """What the kernel holds of ours."""
        return Held(self.sets.read(), {family: self.tables.read(family) for family in families})


def apply(steps: Sequence[Step], kernel: Kernel) -> None:
    """Carry out every step in order, or none: where one is refused, those before it are taken back.

    Raises KernelRefusal with what was refused, and with what could not be taken back either.
    """
    done: list[Step] = []
    try:
        for step in steps:
            done.append(step)
            _carry_out(step, kernel)
    except KernelRefusal as refusal:
        left_over = _take_back(done, kernel)
        raise KernelRefusal("; ".join([str(refusal), *left_over])) from refusal


def _take_back(done: list[Step], kernel: Kernel) -> list[str]:
    """What was refused on the way back; the step that failed may have been carried out in part.

    Of a half-done step only the part that exists can be removed, which the writers allow;
    a table is all or nothing, so a refused one was not written.
    """
    refused: list[str] = []
    failed = done.pop()
    backwards = [inverse(step) for step in reversed(done)]
    if not isinstance(failed, WriteTable):
        backwards.insert(0, inverse(failed))
    for step in backwards:
        if step is None:
            continue
        try:
            _carry_out(step, kernel)
        except KernelRefusal as refusal:
            refused.append(f"not taken back: {refusal}")
    return refused


def _carry_out(step: Step, kernel: Kernel) -> None:
    match step:
        case CreateSets(sets):
            kernel.sets.create(sets)
        case AddMembers(target, members):
            kernel.sets.add(target, members)
        case RemoveMembers(target, members):
            kernel.sets.remove(target, members)
        case WriteTable(family=family, lines=lines):
            kernel.tables.write(family, lines)
        case DestroySets(names):
            kernel.sets.destroy(names)
