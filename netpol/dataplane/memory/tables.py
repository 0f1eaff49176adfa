"""Tables in memory, written by the lines that iptables-restore takes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import copy
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from netpol.compiler.ruleset import TABLE_HOOKS, TableName
from netpol.dataplane.kernel import KernelTable
from netpol.dataplane.memory.grammar import Surroundings, why_refused
from netpol.dataplane.memory.journal import Journal
from netpol.dataplane.memory.sets import MemorySets
from netpol.dataplane.ownership import FIREWALL, Ownership
from netpol.dataplane.readback import normalise, parse_table
from netpol.dataplane.ruletext import destination, split
from netpol.errors import KernelRefusal
from netpol.model.networks import Family

CHAIN_CHARACTERS = 28
_NAMING_SETS = frozenset({"--match-set", "--add-set"})

Chains = dict[str, list[str]]


class _Refused(Exception):
    """Why a line cannot be applied."""


class MemoryTables:
    """`kernel.Tables`, of one owner; what others wrote is put in by `plant`."""

    def __init__(
        self,
        journal: Journal,
        sets: MemorySets,
        table: TableName = TableName.FILTER,
        ownership: Ownership = FIREWALL,
    ) -> None:
        self._journal = journal
        self._sets = sets
        self._table = table
        self.ownership = ownership
        self._hooks = tuple(hook.value for hook in TABLE_HOOKS[table])
        self._chains: dict[Family, Chains] = {family: {name: [] for name in self._hooks} for family in Family}

    def seen_by(self, ownership: Ownership) -> MemoryTables:
        """The same table, as another writer has it."""
        other = copy(self)
        other.ownership = ownership
        return other

    def plant(self, family: Family, chain: str, *rules: str) -> None:
        """Append rules to a chain as somebody else would, unexamined; the chain is made where it is missing."""
        self._chains[family].setdefault(chain, []).extend(rules)

    def rules(self, family: Family, chain: str) -> Sequence[str]:
        """The rules of a chain, whoever wrote them."""
        return tuple(self._chains[family][chain])

    def refers_to_set(self, name: str) -> bool:
        """True where a rule of either family matches the set or adds to it."""
        return any(
            name in _references(rule).sets
            for chains in self._chains.values()
            for rules in chains.values()
            for rule in rules
        )

    def save(self, family: Family) -> str:
        """The table as `iptables-save -t TABLE` prints it."""
        chains = self._chains[family]
        declared = (f":{name} {'ACCEPT' if name in self._hooks else '-'} [0:0]" for name in chains)
        rules = (f"-A {name} {rule}" for name, rules in chains.items() for rule in rules)
        return "\n".join((f"*{self._table.value}", *declared, *rules, "COMMIT", ""))

    def read(self, family: Family) -> KernelTable:
        """What the family's table holds of ours."""
        return parse_table(self.save(family), self._table, self.ownership)

    def write(self, family: Family, lines: Sequence[str]) -> None:
        """Apply `lines` all or nothing."""
        if not lines:
            return
        chains = {name: list(rules) for name, rules in self._chains[family].items()}
        for line in lines:
            try:
                self._apply(chains, family, line)
            except _Refused as refused:
                raise KernelRefusal(f"the rules were refused: {refused} (in {line!r})") from refused
        if loop := _reachable_loop(chains, self._hooks):
            raise KernelRefusal(f"the rules were refused: chain {loop} leads back to itself")
        self._journal.enter(f"write {len(lines)} lines {self._for(family)}")
        self._chains[family] = chains

    def _for(self, family: Family) -> str:
        table = "" if self._table is TableName.FILTER else f"to {self._table.value} "
        return f"{table}for IPv{family.value}"

    def _apply(self, chains: Chains, family: Family, line: str) -> None:
        if line.startswith(":"):
            _declare(chains, line, self._hooks)
            return
        command, _, rest = line.partition(" ")
        name, _, rule = rest.partition(" ")
        if name not in chains:
            raise _Refused(f"there is no chain {name!r}")
        match command:
            case "-A":
                self._insert(chains, family, name, len(chains[name]), rule)
            case "-I":
                position, text = _position(rule)
                if position > len(chains[name]) + 1:
                    raise _Refused("the position is beyond the end of the chain")
                self._insert(chains, family, name, position - 1, text)
            case "-D":
                _delete(chains[name], rule)
            case "-F":
                chains[name] = []
            case "-X":
                _remove(chains, name, self._hooks)
            case _:
                raise _Refused(f"unknown command {command!r}")

    def _insert(self, chains: Chains, family: Family, name: str, index: int, rule: str) -> None:
        surroundings = Surroundings(self._table, family, self._sets.find, frozenset(chains) - set(self._hooks))
        if reason := why_refused(split(rule), surroundings):
            raise _Refused(reason)
        chains[name].insert(index, normalise(rule))


def _declare(chains: Chains, line: str, hooks: Collection[str]) -> None:
    """Make the chain, or empty it."""
    name, *rest = line[1:].split(" ")
    if name in hooks or rest != ["-", "[0:0]"]:
        raise _Refused("only chains of our own are declared, as ':NAME - [0:0]'")
    if len(name) > CHAIN_CHARACTERS:
        raise _Refused(f"the chain's name has over {CHAIN_CHARACTERS} characters")
    chains[name] = []


def _position(rule: str) -> tuple[int, str]:
    """The position an insertion starts with, 1 where it has none, and the rule."""
    first, _, rest = rule.partition(" ")
    return (int(first), rest) if first.isdecimal() else (1, rule)


def _delete(rules: list[str], rule: str) -> None:
    if rule.isdecimal():
        index = int(rule) - 1
        if not 0 <= index < len(rules):
            raise _Refused("the chain has no rule at this position")
    else:
        wanted = normalise(rule)
        found = (index for index, other in enumerate(rules) if normalise(other) == wanted)
        index = next(found, -1)
        if index < 0:
            raise _Refused("the chain has no such rule")
    del rules[index]


def _remove(chains: Chains, name: str, hooks: Collection[str]) -> None:
    if name in hooks:
        raise _Refused("a built-in chain cannot be removed")
    if chains[name]:
        raise _Refused("the chain is not empty")
    if any(name in _destinations(rules) for rules in chains.values()):
        raise _Refused("a rule refers to the chain")
    del chains[name]


def _destinations(rules: Sequence[str]) -> Iterator[str]:
    return (name for rule in rules if (name := _references(rule).destination) is not None)


class _References(NamedTuple):
    destination: str | None
    sets: frozenset[str]


@lru_cache(maxsize=1 << 16)
def _references(rule: str) -> _References:
    """What the rule leads to, and the sets it matches or adds to."""
    words = split(rule)
    sets = frozenset(name.text for option, name in pairwise(words) if option.text in _NAMING_SETS)
    return _References(destination(words), sets)


def _reachable_loop(chains: Mapping[str, Sequence[str]], hooks: Collection[str]) -> str | None:
    """A chain that packets would go round in; the kernel looks only where a hook leads."""
    finished: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> str | None:
        if name in path:
            return name
        if name in finished or name not in chains:
            return None
        found = (walk(following, (*path, name)) for following in _destinations(chains[name]))
        loop = next((each for each in found if each is not None), None)
        finished.add(name)
        return loop

    return next((loop for hook in hooks if (loop := walk(hook, ())) is not None), None)
