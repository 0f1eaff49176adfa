"""The kernel while a plan is carried out: what packets meet after each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tracer import Outcome, Packet, Tracer

from netpol.compiler import names
from netpol.compiler.ruleset import Hook, Member, Ruleset, Table
from netpol.dataplane.apply import Kernel, apply
from netpol.dataplane.kernel import HookRule, KernelTable
from netpol.dataplane.memory import MemoryKernel
from netpol.dataplane.plan import plan
from netpol.dataplane.render import render_table
from netpol.dataplane.steps import Step, WriteTable
from netpol.model.networks import Family, family_of
from netpol.model.policies import Direction

FAMILIES = tuple(Family)
Opening = tuple[Hook, Packet]


def kernel_of(memory: MemoryKernel) -> Kernel:
    """The memory's three writers."""
    return Kernel(memory.sets, memory.tables, memory.flows)


def programmed(ruleset: Ruleset) -> tuple[MemoryKernel, Kernel]:
    """A kernel that holds the ruleset."""
    memory = MemoryKernel()
    kernel = kernel_of(memory)
    apply(plan(ruleset, kernel.read(FAMILIES)), kernel)
    return memory, kernel


class Between:
    """A kernel in memory that goes from one ruleset to another, step by step.

    Its sets are what they hold; of its tables, a rule's values are known where the text of
    all rules is exactly what these values render to.
    """

    def __init__(self, before: Ruleset, after: Ruleset) -> None:
        _, self._kernel = programmed(before)
        self._tables = {family: self._written(before, family) for family in before.tables}
        self._after = after

    def plan(self) -> tuple[Step, ...]:
        """The steps from what the kernel holds to the ruleset it is to hold."""
        return plan(self._after, self._kernel.read(FAMILIES))

    def carry_out(self, step: Step) -> Ruleset:
        """What the kernel holds after the step."""
        apply((step,), self._kernel)
        if isinstance(step, WriteTable):
            self._tables[step.family] = self._written(self._after, step.family)
        return Ruleset(self._kernel.sets.read(), dict(self._tables))

    def _written(self, ruleset: Ruleset, family: Family) -> Table:
        """The ruleset's table, which the kernel holds to the letter."""
        rendered = render_table(ruleset.tables[family], family)
        hooks = {hook: (HookRule(1, text),) for hook, text in rendered.hooks.items()}
        assert self._kernel.tables.read(family) == KernelTable(hooks, rendered.chains)
        return ruleset.tables[family]


def one_end(ruleset: Ruleset, direction: Direction) -> Ruleset:
    """The ruleset without the other direction's judgement."""
    other = Direction.EGRESS if direction is Direction.INGRESS else Direction.INGRESS
    nobody = {
        name: replace(ruleset.sets[name], members=frozenset[Member]())
        for family in Family
        if (name := names.isolated_set(other, family)) in ruleset.sets
    }
    return replace(ruleset, sets={**ruleset.sets, **nobody})


def verdicts(ruleset: Ruleset, openings: Sequence[Opening]) -> dict[Direction, list[Outcome]]:
    """What becomes of each opening, judged at one end alone."""
    tracers = {direction: Tracer(one_end(ruleset, direction)) for direction in Direction}
    return {
        direction: [tracer.trace(family_of(packet.source), hook, packet).verdict for hook, packet in openings]
        for direction, tracer in tracers.items()
    }


def assert_no_gap(old: Ruleset, new: Ruleset, openings: Sequence[Opening]) -> None:
    """After no step is an end more open, or more closed, than it is before and after all of them."""
    first, last = verdicts(old, openings), verdicts(new, openings)
    between = Between(old, new)
    for step in between.plan():
        found = verdicts(between.carry_out(step), openings)
        for direction in Direction:
            for index, (hook, packet) in enumerate(openings):
                verdict, usual = found[direction][index], {first[direction][index], last[direction][index]}
                assert verdict in usual, f"{packet} at {hook}, {direction.value}, is {verdict.value} after {step}"
