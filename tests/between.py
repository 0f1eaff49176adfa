"""The kernel while a plan is carried out: what packets meet after each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tracer import Outcome, Packet, Tracer

from netpol.compiler import names
from netpol.compiler.ruleset import Hook, IpSet, Member, Ruleset
from netpol.dataplane.apply import Kernel, apply
from netpol.dataplane.members import key
from netpol.dataplane.memory import MemoryKernel
from netpol.dataplane.plan import plan
from netpol.dataplane.steps import (
    AddMembers,
    CreateSets,
    DestroySets,
    RemoveMembers,
    ReplaceMembers,
    Step,
    WriteTable,
)
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
    """Carries out steps on values: sets as changed so far, each table as before or after."""

    def __init__(self, before: Ruleset, after: Ruleset) -> None:
        self._sets = dict(before.sets)
        self._tables = dict(before.tables)
        self._after = after

    def carry_out(self, step: Step) -> Ruleset:
        """What the kernel holds after the step."""
        match step:
            case CreateSets(sets):
                self._sets |= {each.name: replace(each, members=frozenset()) for each in sets}
            case AddMembers(target, members) | ReplaceMembers(target, members):
                self._change(target, {key(member): member for member in members}, ())
            case RemoveMembers(target, members):
                self._change(target, {}, members)
            case WriteTable(family=family):
                self._tables[family] = self._after.tables[family]
            case DestroySets(sets):
                for each in sets:
                    del self._sets[each.name]
        return Ruleset(dict(self._sets), dict(self._tables))

    def _change(self, target: IpSet, added: dict[Member, Member], removed: tuple[Member, ...]) -> None:
        held = {key(member): member for member in self._sets[target.name].members} | added
        gone = set(map(key, removed))
        members = frozenset(member for each, member in held.items() if each not in gone)
        self._sets[target.name] = replace(target, members=members)


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
    for step in plan(new, programmed(old)[1].read(FAMILIES)):
        found = verdicts(between.carry_out(step), openings)
        for direction in Direction:
            for index, (hook, packet) in enumerate(openings):
                verdict, usual = found[direction][index], {first[direction][index], last[direction][index]}
                assert verdict in usual, f"{packet} at {hook}, {direction.value}, is {verdict.value} after {step}"
