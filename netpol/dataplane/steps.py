"""The steps a plan is made of, and what takes each of them back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from netpol.compiler.ruleset import IpSet, Member, SetType
from netpol.dataplane.render import RenderedTable
from netpol.model.networks import Family

Chains = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class CreateSets:
    """Create these sets, empty."""

    sets: tuple[IpSet, ...]


@dataclass(frozen=True, slots=True)
class AddMembers:
    """Add members to a set that exists and has none of them."""

    target: IpSet
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class ReplaceMembers:
    """Give members of a set the comments and flags of `members`, where `former` says what they had."""

    target: IpSet
    members: tuple[Member, ...]
    former: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class RemoveMembers:
    """Remove these members from a set that has them."""

    target: IpSet
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class WriteTable:
    """Apply `lines` to the family's filter table at once, and `before` becomes `after`; `undo` takes it back."""

    family: Family
    lines: tuple[str, ...]
    undo: tuple[str, ...]
    before: RenderedTable
    after: RenderedTable

    @property
    def chains(self) -> tuple[str, ...]:
        """The names of the chains that change, come or go."""
        return changed_chains(self.before.chains, self.after.chains)


@dataclass(frozen=True, slots=True)
class DestroySets:
    """Destroy these sets, which have these members and which nothing refers to any more."""

    sets: tuple[IpSet, ...]


Step = CreateSets | AddMembers | ReplaceMembers | RemoveMembers | WriteTable | DestroySets


def changed_chains(before: Chains, after: Chains) -> tuple[str, ...]:
    """The names of the chains that differ, whether they change, come or go."""
    return tuple(name for name in sorted({*before, *after}) if before.get(name) != after.get(name))


def inverse(step: Step) -> tuple[Step, ...]:
    """The steps that take `step` back."""
    match step:
        case CreateSets(sets):
            return (DestroySets(references_first(sets)),)
        case AddMembers(target, members):
            return (RemoveMembers(target, members),)
        case ReplaceMembers(target, members, former):
            return (ReplaceMembers(target, former, members),)
        case RemoveMembers(target, members):
            return (AddMembers(target, members),)
        case WriteTable(family, lines, undo, before, after):
            return (WriteTable(family, undo, lines, after, before),)
        case DestroySets(sets):
            in_order = references_last(sets)
            filled = (AddMembers(each, tuple(each.members)) for each in in_order if each.members)
            return (CreateSets(in_order), *filled)


def references_first(sets: Iterable[IpSet]) -> tuple[IpSet, ...]:
    """The sets in the order they can be destroyed: one that a list:set refers to cannot go before the list."""
    return tuple(sorted(sets, key=lambda each: each.type is not SetType.SETS))


def references_last(sets: Iterable[IpSet]) -> tuple[IpSet, ...]:
    """The sets in the order they can be filled: a list:set can only refer to sets that exist."""
    return tuple(sorted(sets, key=lambda each: each.type is SetType.SETS))
