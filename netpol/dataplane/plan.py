"""The ordered steps from what the kernel holds to what it should hold.

Policies judge a connection at each of its ends (G1), and each end passes from the old
judgement to the new one by itself, as ends on different nodes do anyhow. Where one object
has changed, what both judgements allow is allowed after every step, and what both refuse
is refused. Where many have, see `plan`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from netpol.compiler import names
from netpol.compiler.ruleset import IpSet, Member, NetworkMember, Ruleset, SetType
from netpol.dataplane.kernel import KernelTable
from netpol.dataplane.members import key
from netpol.dataplane.patch import write_table
from netpol.dataplane.render import RenderedTable, render_table
from netpol.dataplane.steps import (
    AddMembers,
    CreateSets,
    DestroySets,
    RemoveMembers,
    ReplaceMembers,
    Step,
    references_first,
    references_last,
)
from netpol.model.networks import Family
from netpol.model.policies import Direction


@dataclass(frozen=True, slots=True)
class Held:
    """What the kernel holds of ours."""

    sets: Mapping[str, IpSet]
    tables: Mapping[Family, KernelTable]

    def beside(self, desired: Ruleset) -> Held:
        """The same, with the sets marked that `desired` leaves to others to fill: the kernel does not tell it."""
        others = {
            name: replace(each, filled_by_others=True)
            for name, each in self.sets.items()
            if (wanted := desired.sets.get(name)) is not None and wanted.filled_by_others
        }
        return replace(self, sets={**self.sets, **others})

    def part(self, sets: Collection[str], chains: Collection[str]) -> Held:
        """What is held under these names, and the hooks: what a plan of a part of a ruleset starts from."""
        return Held(
            {name: self.sets[name] for name in sets if name in self.sets},
            {
                family: KernelTable(
                    table.hooks,
                    {name: table.chains[name] for name in chains if name in table.chains},
                    places=table.places,
                )
                for family, table in self.tables.items()
            },
        )


class Stale(enum.Enum):
    """What becomes of sets that are held and not desired.

    To destroy one takes the kernel about ten milliseconds, and one that stands does nothing
    to a packet: who is in a hurry keeps them, and destroys them at leisure.
    """

    DESTROY = enum.auto()
    KEEP = enum.auto()


def plan(desired: Ruleset, held: Held, stale_sets: Stale = Stale.DESTROY) -> tuple[Step, ...]:
    """The steps that make the kernel hold `desired`; none where it does already.

    Of a part of a ruleset and `Held.part` under the same names, they are the steps of that
    part; every hook is in both.

    - An address that is no known pod's any more is closed first, and a new one opened last (G12).
    - Sets of peers gain members before they lose others: what moves from one to another is in one of them.
    - Then each pod's lists gain sets, the table changes, and the lists lose sets, for the same reason.
    - What a set remembers for a time, or others fill, is left as it is: the set is made where it is missing.
    - The table decides at which moment a pod is isolated, or what is under audit is enforced. Its
      address is among the isolated ones before that and until after it: while the dispatch tree does
      not know the address, nothing refuses its openings, only what comes in mid-stream.

    Where many objects have changed at once, one thing is open for a moment that was not and
    will not be: a list that is about to lose a set also allows what the set has just gained.
    """
    missing = [each for name, each in desired.sets.items() if not _same_kind(each, held.sets.get(name))]
    in_the_way = [held.sets[each.name] for each in missing if each.name in held.sets]
    stale = [each for name, each in held.sets.items() if name not in desired.sets]
    changed = [
        _Difference.between(each, held.sets[name])
        for name, each in desired.sets.items()
        if _same_kind(each, held.sets.get(name)) and each.is_ours_to_fill and each.members != held.sets[name].members
    ]
    unknown = [each for each in changed if each.target.name in _UNKNOWN]
    isolated = [each for each in changed if each.target.name in _ISOLATED]
    lists = [each for each in changed if each.target.type is SetType.SETS]
    peers = [each for each in changed if each.target.type is not SetType.SETS and each.target.name not in _GATES]
    return tuple(
        chain(
            _destroy(in_the_way),
            _each(unknown, _Difference.close),
            _create(missing),
            _each([*peers, *isolated], _Difference.add),
            _each(peers, _Difference.remove),
            _fill(each for each in missing if each.type is SetType.SETS),
            _each(lists, _Difference.add),
            _write_tables(desired, held),
            _each([*lists, *isolated], _Difference.remove),
            _each([*peers, *lists], _Difference.replace),
            _each(unknown, _Difference.open),
            _destroy(stale if stale_sets is Stale.DESTROY else []),
        )
    )


_ISOLATED = frozenset(
    name
    for family in Family
    for name in (*(names.isolated_set(each, family) for each in Direction), names.enforced_set(family))
)
_UNKNOWN = frozenset(names.unknown_set(family) for family in Family)
_GATES = _ISOLATED | _UNKNOWN


@dataclass(frozen=True, slots=True)
class _Difference:
    """How one set differs; `replaced` pairs members that get another comment or flag with what they were."""

    target: IpSet
    added: tuple[Member, ...]
    removed: tuple[Member, ...]
    replaced: tuple[tuple[Member, Member], ...]

    @classmethod
    def between(cls, desired: IpSet, held: IpSet) -> _Difference:
        former = {key(member): member for member in held.members - desired.members}
        new = {key(member): member for member in desired.members - held.members}
        both = new.keys() & former.keys()
        return cls(
            desired,
            added=tuple(member for each, member in new.items() if each not in both),
            removed=tuple(member for each, member in former.items() if each not in both),
            replaced=tuple((new[each], former[each]) for each in both),
        )

    def add(self) -> Iterator[Step]:
        return _add(self.target, self.added)

    def remove(self) -> Iterator[Step]:
        return _remove(self.target, self.removed)

    def replace(self) -> Iterator[Step]:
        return _replace(self.target, self.replaced)

    def close(self) -> Iterator[Step]:
        """Holes for addresses that are unknown from now on are filled."""
        yield from _remove(self.target, (m for m in self.removed if _is_hole(m) and self._in_range(m)))
        yield from _replace(self.target, (pair for pair in self.replaced if not _is_hole(pair[0])))

    def open(self) -> Iterator[Step]:
        """Ranges come after the holes in them and go before these; every hole of a known pod is there."""
        yield from _add(self.target, (m for m in self.added if _is_hole(m)))
        yield from _add(self.target, (m for m in self.added if not _is_hole(m)))
        yield from _replace(self.target, (pair for pair in self.replaced if _is_hole(pair[0])))
        yield from _remove(self.target, (m for m in self.removed if not _is_hole(m)))
        yield from _remove(self.target, (m for m in self.removed if _is_hole(m) and not self._in_range(m)))

    def _in_range(self, hole: Member) -> bool:
        """True where a range that is to stay or to come is around the hole, which is one address."""
        ranges = (m for m in self.target.members if isinstance(m, NetworkMember) and not m.nomatch)
        return isinstance(hole, NetworkMember) and any(
            key(each) == key(NetworkMember(hole.packed, each.prefix)) for each in ranges
        )


def _is_hole(member: Member) -> bool:
    return isinstance(member, NetworkMember) and member.nomatch


def _same_kind(desired: IpSet, held: IpSet | None) -> bool:
    """True where the set that is there can hold what is desired; comments that nobody asked for do no harm."""
    if held is None or (held.type, held.family, held.timeout_seconds) != (
        desired.type,
        desired.family,
        desired.timeout_seconds,
    ):
        return False
    return held.has_comments or not desired.has_comments


def _each(differences: Iterable[_Difference], steps: Callable[[_Difference], Iterator[Step]]) -> Iterator[Step]:
    return chain.from_iterable(map(steps, differences))


def _create(sets: Sequence[IpSet]) -> Iterator[Step]:
    """The sets exist, and those of addresses are filled: nothing refers to them yet."""
    if sets:
        yield CreateSets(references_last(sets))
        yield from _fill(each for each in sets if each.type is not SetType.SETS)


def _fill(sets: Iterable[IpSet]) -> Iterator[Step]:
    for each in sets:
        yield from _add(each, each.members)


def _destroy(sets: Sequence[IpSet]) -> Iterator[Step]:
    if sets:
        yield DestroySets(references_first(sets))


def _add(target: IpSet, members: Iterable[Member]) -> Iterator[Step]:
    if wanted := tuple(members):
        yield AddMembers(target, wanted)


def _remove(target: IpSet, members: Iterable[Member]) -> Iterator[Step]:
    if unwanted := tuple(members):
        yield RemoveMembers(target, unwanted)


def _replace(target: IpSet, pairs: Iterable[tuple[Member, Member]]) -> Iterator[Step]:
    if replaced := tuple(pairs):
        yield ReplaceMembers(target, tuple(new for new, _ in replaced), tuple(old for _, old in replaced))


def _write_tables(desired: Ruleset, held: Held) -> Iterator[Step]:
    """A family that is not desired has nothing of ours."""
    for family, kernel in held.tables.items():
        table = desired.tables.get(family)
        step = write_table(family, RenderedTable({}, {}) if table is None else render_table(table, family), kernel)
        if step is not None:
            yield step
