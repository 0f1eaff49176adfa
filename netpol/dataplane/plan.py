"""The ordered steps from what the kernel holds to what it should hold.

No step makes a pod more open than it was before the first one and will be after the
last, nor more closed: what widens a referenced set comes first and what narrows it last,
so that in between a peer is allowed by the old policies or by the new ones. The sets that
decide whether a pod is judged at all are gates: they close only when the chains behind
them stand, and open before these go.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from netpol.compiler import names
from netpol.compiler.ruleset import IpSet, Member, NetworkMember, Ruleset, SetReference, SetType
from netpol.dataplane.kernel import HookRule, KernelTable
from netpol.dataplane.render import RenderedTable, render_table
from netpol.model.networks import Family
from netpol.model.policies import Direction


@dataclass(frozen=True, slots=True)
class Held:
    """What the kernel holds of ours."""

    sets: Mapping[str, IpSet]
    tables: Mapping[Family, KernelTable]


@dataclass(frozen=True, slots=True)
class CreateSets:
    """Create these sets, empty."""

    sets: tuple[IpSet, ...]


@dataclass(frozen=True, slots=True)
class AddMembers:
    """Add these members to a set that exists."""

    target: IpSet
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class RemoveMembers:
    """Remove these members from a set that exists."""

    target: IpSet
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class WriteTable:
    """Apply `lines` to the family's filter table at once; `undo` are the lines that take it back.

    `chains` names what changes, for people.
    """

    family: Family
    lines: tuple[str, ...]
    undo: tuple[str, ...]
    chains: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DestroySets:
    """Destroy sets that nothing refers to any more."""

    names: tuple[str, ...]


Step = CreateSets | AddMembers | RemoveMembers | WriteTable | DestroySets


def plan(desired: Ruleset, held: Held) -> tuple[Step, ...]:
    """The steps that make the kernel hold `desired`; none where it does already."""
    missing = tuple(each for name, each in desired.sets.items() if not _same_kind(each, held.sets.get(name)))
    replaced = tuple(each.name for each in missing if each.name in held.sets)
    stale = [each for name, each in held.sets.items() if name not in desired.sets]
    changes = [
        _Change.between(each, held.sets[name])
        for name, each in desired.sets.items()
        if _same_kind(each, held.sets.get(name))
    ]
    peers = [change for change in changes if change.target.name not in _GATES]
    isolated = [change for change in changes if change.target.name in _ISOLATED]
    unknown = [change for change in changes if change.target.name in _UNKNOWN]
    steps: Iterable[Step | None] = chain(
        (DestroySets(replaced) if replaced else None,),
        _create(missing),
        (_add(change.target, change.added) for change in peers),
        (_remove(change.target, (m for m in change.removed if _is_hole(m))) for change in unknown),
        (_remove(change.target, change.removed) for change in isolated),
        _write_tables(desired, held),
        (_add(change.target, change.added) for change in isolated),
        chain.from_iterable(_widen_unknown(change) for change in unknown),
        (_remove(change.target, change.removed) for change in peers),
        (_add(change.target, change.reworded) for change in peers),
        _destroy(stale),
    )
    return tuple(step for step in steps if step is not None)


def inverse(step: Step) -> Step | None:
    """The step that takes `step` back; None where nothing needs to be: a destroyed set was out of use."""
    match step:
        case CreateSets(sets):
            return DestroySets(tuple(each.name for each in sorted(sets, key=_members_last)))
        case AddMembers(target, members):
            return RemoveMembers(target, members)
        case RemoveMembers(target, members):
            return AddMembers(target, members)
        case WriteTable(family, lines, undo, chains):
            return WriteTable(family, undo, lines, chains)
        case DestroySets():
            return None


_ISOLATED = frozenset(names.isolated_set(direction, family) for direction in Direction for family in Family)
_UNKNOWN = frozenset(names.unknown_set(family) for family in Family)
_GATES = _ISOLATED | _UNKNOWN


@dataclass(frozen=True, slots=True)
class _Change:
    """One set's difference; `reworded` are members that only get another comment."""

    target: IpSet
    added: tuple[Member, ...]
    removed: tuple[Member, ...]
    reworded: tuple[Member, ...]

    @classmethod
    def between(cls, desired: IpSet, held: IpSet) -> _Change:
        if desired.members == held.members:
            return cls(desired, (), (), ())
        keys, held_keys = {_key(m) for m in desired.members}, {_key(m) for m in held.members}
        new = desired.members - held.members
        return cls(
            desired,
            added=tuple(m for m in new if _key(m) not in held_keys),
            removed=tuple(m for m in held.members - desired.members if _key(m) not in keys),
            reworded=tuple(m for m in new if _key(m) in held_keys),
        )


def _key(member: Member) -> Hashable:
    """What the kernel tells members by: a comment is not part of it, nor is `nomatch`."""
    match member:
        case SetReference(name=name):
            return name
        case NetworkMember(packed=packed, prefix=prefix):
            return packed, prefix
        case _:
            return member


def _is_hole(member: Member) -> bool:
    return isinstance(member, NetworkMember) and member.nomatch


def _widen_unknown(change: _Change) -> Iterator[Step | None]:
    """Known pods are carved out before the range around them closes."""
    holes = [m for m in change.added if _is_hole(m)]
    yield _add(change.target, holes)
    yield _add(change.target, [m for m in change.added if not _is_hole(m)] + list(change.reworded))
    yield _remove(change.target, (m for m in change.removed if not _is_hole(m)))


def _same_kind(desired: IpSet, held: IpSet | None) -> bool:
    return held is not None and (desired.type, desired.family) == (held.type, held.family)


def _members_last(each: IpSet) -> bool:
    """Sorts lists first: a set that a list refers to cannot be destroyed."""
    return each.type is not SetType.SETS


def _create(sets: tuple[IpSet, ...]) -> Iterator[Step | None]:
    if sets:
        in_order = sorted(sets, key=_members_last, reverse=True)
        yield CreateSets(tuple(in_order))
        for each in in_order:
            yield _add(each, each.members)


def _add(target: IpSet, members: Iterable[Member]) -> Step | None:
    wanted = tuple(members)
    return AddMembers(target, wanted) if wanted else None


def _remove(target: IpSet, members: Iterable[Member]) -> Step | None:
    unwanted = tuple(members)
    return RemoveMembers(target, unwanted) if unwanted else None


def _destroy(sets: list[IpSet]) -> Iterator[Step]:
    """Lists go first. A stale set may hold another stale list's references only."""
    if sets:
        yield DestroySets(tuple(each.name for each in sorted(sets, key=_members_last)))


# --- tables

_NOTHING = RenderedTable({}, {})


def _write_tables(desired: Ruleset, held: Held) -> Iterator[Step]:
    for family, kernel in held.tables.items():
        table = desired.tables.get(family)
        rendered = _NOTHING if table is None else render_table(table, family)
        lines = tuple(_patch(rendered, kernel))
        if lines:
            before, after = _rendered(kernel), _kernel(rendered)
            yield WriteTable(family, lines, tuple(_patch(before, after)), _changed(rendered, kernel))


def _changed(desired: RenderedTable, held: KernelTable) -> tuple[str, ...]:
    """The chains that differ, whether they change, come or go."""
    return tuple(
        name for name in sorted({*desired.chains, *held.chains}) if desired.chains.get(name) != held.chains.get(name)
    )


def _patch(desired: RenderedTable, held: KernelTable) -> Iterator[str]:
    """The restore lines that turn `held` into `desired`: only chains that differ, ours alone.

    `:NAME` creates a chain or empties it. A hook's rule is deleted by its text, never by
    its place, which another writer may have moved meanwhile.
    """
    changed = _changed(desired, held)
    yield from (f":{name} - [0:0]" for name in changed)
    for name in changed:
        yield from (f"-A {name} {rule}" for rule in desired.chains.get(name, ()))
    for hook in sorted({*desired.hooks, *held.hooks}, key=lambda hook: hook.value):
        wanted, present = desired.hooks.get(hook), held.hooks.get(hook, ())
        if [(rule.position, rule.text) for rule in present] != ([] if wanted is None else [(1, wanted)]):
            yield from (f"-D {hook.value} {rule.text}" for rule in present)
            if wanted is not None:
                yield f"-I {hook.value} 1 {wanted}"
    yield from (f"-X {name}" for name in changed if name not in desired.chains)


def _rendered(kernel: KernelTable) -> RenderedTable:
    """A table as found, as something to go back to: its hooks' first rules of ours come first again."""
    return RenderedTable({hook: rules[0].text for hook, rules in kernel.hooks.items() if rules}, kernel.chains)


def _kernel(rendered: RenderedTable) -> KernelTable:
    """A table as it stands once `rendered` is applied."""
    return KernelTable({hook: (HookRule(1, text),) for hook, text in rendered.hooks.items()}, rendered.chains)
