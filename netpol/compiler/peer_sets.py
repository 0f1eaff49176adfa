"""The shared sets of the terms in use, kept while the pods they mean come, change and go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from netpol.compiler.ruleset import AddressPort, IpSet
from netpol.compiler.term_index import TermIndex
from netpol.compiler.terms import Block, Networks, PodTerm, Term, contribution, term_sets
from netpol.model.change import Change
from netpol.model.labels import Labels, Selector
from netpol.model.networks import Family
from netpol.model.objects import Namespace
from netpol.policy.holders import Holder
from netpol.policy.resolve import Resolver


@dataclass(frozen=True, slots=True)
class SetChanges:
    """What became of the sets of terms: those that are new or differ, and the names of those that are gone.

    `moved` is true where a set that was there and still is has other members.
    """

    sets: Sequence[IpSet]
    gone: Sequence[str]
    moved: bool


class PeerSets:
    """The sets of every term that a program uses, once; a term that none uses has no set.

    A batch tells of its moves first, then of relabelled namespaces, then of uses: a term that
    comes into use finds its pods as they are by then. `settle` ends it.
    """

    def __init__(self, families: tuple[Family, ...], resolver: Resolver, namespaces: Mapping[str, Namespace]) -> None:
        self._families = families
        self._resolver = resolver
        self._index: TermIndex[_Members] = TermIndex(namespaces)
        self._terms: dict[Term, _InUse] = {}
        self._new: list[_InUse] = []
        self._unused: dict[Term, None] = {}
        self._changing: dict[_Members, None] = {}

    def move(self, moves: Iterable[Change[Holder]]) -> None:
        """The holders have moved. Whatever an address was taken from goes before what it was given to comes."""
        moves = tuple(moves)
        for move in moves:
            if move.before is not None:
                for members in self._index.meaning(move.before.pod):
                    self._note(members, move.before, is_in=False)
        for move in moves:
            if move.after is not None:
                for members in self._index.meaning(move.after.pod):
                    self._note(members, move.after, is_in=True)

    def relabel(self, namespace: str, labels: Labels | None) -> None:
        """The namespace has these labels; None where it is not known."""
        relabelling = self._index.relabel(namespace, labels)
        self._note_all(namespace, relabelling.lost, is_in=False)
        self._note_all(namespace, relabelling.gained, is_in=True)

    def use(self, term: Term) -> None:
        """One program more uses the term."""
        used = self._terms.get(term)
        if used is None:
            used = self._terms[term] = _InUse.of(term, self._families, self._resolver)
            self._new.append(used)
            if used.members is not None:
                self._index.add(used.members.term, used.members)
        used.uses += 1
        self._unused.pop(term, None)

    def drop(self, term: Term) -> None:
        """One program less uses the term."""
        used = self._terms[term]
        used.uses -= 1
        if not used.uses:
            self._unused[term] = None

    def set_names(self, terms: Iterable[Term]) -> dict[Term, tuple[str, ...]]:
        """The names of the sets of terms in use."""
        return {term: self._terms[term].names for term in terms}

    def settle(self) -> SetChanges:
        """The batch is over: terms that nobody uses are gone, and the sets of the others are as their pods are."""
        gone = [name for term in self._unused for name in self._forget(term)]
        sets = [each for used in self._new if used.uses for each in used.sets]
        moved = [each for members in self._changing for each in members.settle()]
        self._new, self._unused, self._changing = [], {}, {}
        return SetChanges([*sets, *moved], gone, bool(moved))

    def _forget(self, term: Term) -> tuple[str, ...]:
        used = self._terms.pop(term)
        if used.members is not None:
            self._index.remove(used.members.term, used.members)
            self._changing.pop(used.members, None)
        return used.names

    def _note_all(self, namespace: str, selectors: Mapping[_Members, Selector], *, is_in: bool) -> None:
        for members, selector in selectors.items():
            for holder in self._resolver.matching(namespace, selector):
                self._note(members, holder, is_in=is_in)

    def _note(self, members: _Members, holder: Holder, *, is_in: bool) -> None:
        members.note(holder, is_in=is_in)
        self._changing[members] = None


class _Members:
    """The sets of a term of pods, and what a batch has said of their members so far.

    An address has one holder and a holder one namespace, so nothing else puts the same member
    into the set, and what was said of it last is true.
    """

    def __init__(self, term: PodTerm, sets: Mapping[Family, IpSet]) -> None:
        self.term = term
        self.sets = dict(sets)
        self._contribute = contribution(term)
        self._is_in: dict[Family, dict[bytes | AddressPort, bool]] = {family: {} for family in sets}

    def note(self, holder: Holder, *, is_in: bool) -> None:
        """What the holder contributes is (or is not) in the sets when the batch settles."""
        for family, noted in self._is_in.items():
            for member in self._contribute(holder, family):
                noted[member] = is_in

    def settle(self) -> Iterator[IpSet]:
        """The sets that differ now."""
        for family, noted in self._is_in.items():
            known = self.sets[family].members
            gained = {member for member, is_in in noted.items() if is_in and member not in known}
            lost = {member for member, is_in in noted.items() if not is_in and member in known}
            noted.clear()
            if gained or lost:
                kept = known - lost if lost else known
                changed = replace(self.sets[family], members=kept | gained if gained else kept)
                self.sets[family] = changed
                yield changed


@dataclass(slots=True)
class _InUse:
    """A term's sets as they were when it came into use, and how many programs use it."""

    sets: tuple[IpSet, ...]
    members: _Members | None
    uses: int = 0

    @classmethod
    def of(cls, term: Term, families: tuple[Family, ...], resolver: Resolver) -> _InUse:
        sets = term_sets(term, families, resolver)
        if isinstance(term, Networks | Block):
            return cls(sets, None)
        return cls(sets, _Members(term, dict(zip(families, sets, strict=True))))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.sets)
