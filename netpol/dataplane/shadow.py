"""What the kernel holds of ours, kept up by the steps that were carried out instead of by reading it again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from netpol.compiler.ruleset import IpSet, Member
from netpol.dataplane.kernel import HookRule, SetSummary
from netpol.dataplane.members import key
from netpol.dataplane.plan import Held
from netpol.dataplane.steps import (
    AddMembers,
    CreateSets,
    DestroySets,
    RemoveMembers,
    ReplaceMembers,
    Step,
    WriteTable,
)


class Shadow:
    """Equal to what would be read, as long as nobody else writes.

    Members that the kernel forgets after a time or adds by a rule, or that others add, are not
    followed: such a set holds here what was read of it.
    """

    def __init__(self, held: Held) -> None:
        self._sets = dict(held.sets)
        self._tables = dict(held.tables)
        self._chains = {family: dict(table.chains) for family, table in held.tables.items()}

    @property
    def sets(self) -> Mapping[str, IpSet]:
        """The sets by name, as of now and later."""
        return self._sets

    @property
    def held(self) -> Held:
        """All of it, as of now."""
        return Held(
            dict(self._sets),
            {family: replace(table, chains=dict(self._chains[family])) for family, table in self._tables.items()},
        )

    def part(self, sets: Collection[str], chains: Collection[str]) -> Held:
        """What is held under these names, and the hooks (`Held.part`)."""
        tables = {family: replace(table, chains=self._chains[family]) for family, table in self._tables.items()}
        return Held(self._sets, tables).part(sets, chains)

    def follow(self, steps: Iterable[Step]) -> None:
        """These steps were carried out."""
        for step in steps:
            match step:
                case CreateSets(sets):
                    self._sets.update((each.name, replace(each, members=frozenset())) for each in sets)
                case AddMembers(target, members):
                    self._change(target.name, added=members)
                case ReplaceMembers(target, members, former):
                    self._change(target.name, removed=former, added=members)
                case RemoveMembers(target, members):
                    self._change(target.name, removed=members)
                case WriteTable():
                    self._write(step)
                case DestroySets(sets):
                    for each in sets:
                        del self._sets[each.name]

    def estranged(self, survey: Mapping[str, SetSummary]) -> frozenset[str]:
        """The names under which the kernel has not what was left there: a set gone, made, emptied, filled or remade.

        A member exchanged for another one does not show, nor what a set remembers for a time or
        others fill it with, nor a set of others that only has a name like ours: it is never read either.
        """
        readable = {name for name, summary in survey.items() if summary.type is not None}
        return frozenset(
            name
            for name in readable.union(self._sets)
            if name not in self._sets or name not in survey or not _fits(self._sets[name], survey[name])
        )

    def forget_set(self, name: str) -> None:
        """The set was destroyed."""
        self._sets.pop(name, None)

    def _change(self, name: str, removed: Collection[Member] = (), added: Collection[Member] = ()) -> None:
        held = self._sets[name]
        left = held.members.difference(removed)
        if len(left) != len(held.members) - len(removed):
            # Some were named by what tells them apart alone.
            gone = frozenset(map(key, removed))
            left = frozenset(member for member in held.members if key(member) not in gone)
        self._sets[name] = replace(held, members=left.union(added))

    def _write(self, step: WriteTable) -> None:
        chains = self._chains[step.family]
        for name in step.chains:
            if (rules := step.after.chains.get(name)) is None:
                del chains[name]
            else:
                chains[name] = rules
        table = self._tables[step.family]
        hooks = {
            hook: (HookRule(1, text),) if (text := step.after.hooks.get(hook)) is not None else ()
            for hook in {*table.hooks, *step.after.hooks}
        }
        self._tables[step.family] = replace(table, hooks=hooks, chains=chains)


def _fits(known: IpSet, found: SetSummary) -> bool:
    kind = known.type, known.family, known.timeout_seconds, known.has_comments
    same_kind = kind == (found.type, found.family, found.timeout_seconds, found.has_comments)
    return same_kind and (not known.is_ours_to_fill or len(known.members) == found.members)
