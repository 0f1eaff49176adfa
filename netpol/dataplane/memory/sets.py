"""ipsets in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass, replace

from netpol.compiler.ruleset import AddressPortNetwork, IpSet, Member, NetworkMember, SetReference, SetType
from netpol.dataplane.kernel import SetSummary
from netpol.dataplane.members import describe, key, misfit
from netpol.dataplane.memory.journal import Journal
from netpol.dataplane.ownership import FIREWALL, Ownership
from netpol.errors import KernelRefusal

NAME_CHARACTERS = 31
MAX_MEMBERS = 1 << 20


@dataclass(frozen=True, slots=True)
class _Held:
    """A set as it was created, and its members by what tells them apart."""

    created: IpSet
    members: dict[Member, Member]

    @property
    def type(self) -> SetType:
        return self.created.type


class MemorySets:
    """`kernel.Sets`, of one owner."""

    def __init__(self, journal: Journal, max_members: int = MAX_MEMBERS, ownership: Ownership = FIREWALL) -> None:
        self._journal = journal
        self._max_members = max_members
        self.ownership = ownership
        self._held: dict[str, _Held] = {}
        self.referred_by_rules: Callable[[str], bool] = lambda _: False

    def seen_by(self, ownership: Ownership) -> MemorySets:
        """The same sets, as another writer has them."""
        other = copy(self)
        other.ownership = ownership
        return other

    def find(self, name: str) -> IpSet | None:
        """The set of this name, ours or not, without its members."""
        held = self._held.get(name)
        return None if held is None else held.created

    def read(self) -> Mapping[str, IpSet]:
        """Our sets as the kernel holds them."""
        return {
            name: replace(held.created, members=frozenset(held.members.values()))
            for name, held in self._held.items()
            if self.ownership.is_ours(name)
        }

    def read_members(self, target: IpSet) -> frozenset[Member]:
        """What one set holds; a set that is not there is refused."""
        held = self._held.get(target.name)
        if held is None:
            raise KernelRefusal(f"ipset {target.name} cannot be read: there is no such set")
        return frozenset(held.members.values())

    def survey(self) -> Mapping[str, SetSummary]:
        """Our sets without their members."""
        return {name: _summary(held) for name, held in self._held.items() if self.ownership.is_ours(name)}

    def create(self, sets: Iterable[IpSet]) -> None:
        """Create each set, empty: a set that exists is refused."""
        for each in sets:
            if len(each.name) > NAME_CHARACTERS:
                raise KernelRefusal(
                    f"ipset {each.name} cannot be created: its name has over {NAME_CHARACTERS} characters"
                )
            if each.name in self._held:
                raise KernelRefusal(f"ipset {each.name} cannot be created: a set of this name exists already")
            if (each.family is None) is not (each.type is SetType.SETS):
                raise KernelRefusal(f"ipset {each.name} cannot be created: a {each.type.value} of family {each.family}")
            self._journal.enter(f"create {each.name}")
            self._held[each.name] = _Held(_as_made(each), {})

    def add(self, target: IpSet, members: Iterable[Member]) -> None:
        """Add members to an existing set; one that is there already gets the new comment or flag."""
        held = self._find(target, "add")
        for member in members:
            if reason := self._why_not(held, member):
                raise KernelRefusal(f"ipset {target.name}: cannot add {describe(member)}: {reason}")
            self._journal.enter(f"add {describe(member)} to {target.name}")
            held.members[key(member)] = _as_kept(member)

    def remove(self, target: IpSet, members: Iterable[Member]) -> None:
        """Remove members; absent ones are no error."""
        held = self._find(target, "remove")
        for member in members:
            if reason := misfit(held.created, member):
                raise KernelRefusal(f"ipset {target.name}: cannot remove {describe(member)}: {reason}")
            self._journal.enter(f"remove {describe(member)} from {target.name}")
            held.members.pop(key(member), None)

    def destroy(self, names: Iterable[str]) -> None:
        """Destroy sets that no rule and no other set refers to; one that is gone already is no error."""
        remaining = [name for name in dict.fromkeys(names) if name in self._held]
        while remaining:
            free = [name for name in remaining if not self._is_in_use(name)]
            if not free:
                raise KernelRefusal(f"ipset {remaining[0]} cannot be destroyed: a rule or another set refers to it")
            for name in free:
                self._journal.enter(f"destroy {name}")
                del self._held[name]
            remaining = [name for name in remaining if name in self._held]

    def destroy_unused(self, name: str) -> bool:
        """True once there is no such set; False where a rule or another set refers to it."""
        if name in self._held:
            if self._is_in_use(name):
                return False
            self._journal.enter(f"destroy {name}")
            del self._held[name]
        return True

    def _find(self, target: IpSet, doing: str) -> _Held:
        held = self._held.get(target.name)
        if held is None:
            raise KernelRefusal(f"ipset {target.name}: cannot {doing} members: there is no such set")
        return held

    def _why_not(self, held: _Held, member: Member) -> str | None:
        if reason := misfit(held.created, member):
            return reason
        if isinstance(member, SetReference):
            referred = self._held.get(member.name)
            if referred is None:
                return "there is no such set to refer to"
            return "a list:set holds no list:set" if referred.type is SetType.SETS else None
        full = len(held.members) >= self._max_members and key(member) not in held.members
        return "the set is full" if full else None

    def _is_in_use(self, name: str) -> bool:
        reference = SetReference(name)
        return self.referred_by_rules(name) or any(reference in held.members for held in self._held.values())


def _as_made(each: IpSet) -> IpSet:
    """What the kernel knows of a set that has just been made; a list:set's comments are no choice."""
    has_comments = each.has_comments and each.type is not SetType.SETS
    return IpSet(each.name, each.type, each.family, timeout_seconds=each.timeout_seconds, has_comments=has_comments)


def _summary(held: _Held) -> SetSummary:
    made = held.created
    return SetSummary(made.type, made.family, made.timeout_seconds, len(held.members), made.has_comments)


def _as_kept(member: Member) -> Member:
    """The member as it reads back: a network without the bits beyond its prefix."""
    masked = key(member)
    match member, masked:
        case NetworkMember(), NetworkMember():
            return masked._replace(nomatch=member.nomatch)
        case AddressPortNetwork(), _:
            return masked
        case _:
            return member
