"""All that the kernel should hold, and what of it has changed since it was last asked."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

from netpol.compiler.base_chains import hooks
from netpol.compiler.ruleset import IpSet, Rule, Ruleset, Table
from netpol.model.networks import Family

Name = TypeVar("Name", bound=Hashable)
Value = TypeVar("Value")


class _Values(Generic[Name, Value]):
    """Values by name, which remember what they were when somebody last asked what has changed."""

    def __init__(self) -> None:
        self.now: dict[Name, Value] = {}
        self._former: dict[Name, Value | None] = {}

    def put(self, name: Name, value: Value) -> None:
        self._former.setdefault(name, self.now.get(name))
        self.now[name] = value

    def drop(self, name: Name) -> None:
        self._former.setdefault(name, self.now[name])
        del self.now[name]

    def changed(self) -> list[Name]:
        """The names of what is not what it was; asked once, the values are what is known."""
        names = [name for name, former in self._former.items() if self.now.get(name) != former]
        self._former.clear()
        return names


class Desired:
    """The sets and chains of a node, one by one."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._hooks = hooks()
        self._sets: _Values[str, IpSet] = _Values()
        self._chains: dict[Family, _Values[str, tuple[Rule, ...]]] = {family: _Values() for family in families}

    def put_sets(self, sets: Iterable[IpSet]) -> None:
        """These sets are as given."""
        for each in sets:
            self._sets.put(each.name, each)

    def drop_sets(self, names: Iterable[str]) -> None:
        """There are no sets of these names any more."""
        for name in names:
            self._sets.drop(name)

    def put_chains(self, family: Family, chains: Mapping[str, tuple[Rule, ...]]) -> None:
        """These chains of the family are as given."""
        for name, rules in chains.items():
            self._chains[family].put(name, rules)

    def drop_chains(self, family: Family, names: Iterable[str]) -> None:
        """The family has no chains of these names any more."""
        for name in names:
            self._chains[family].drop(name)

    def changed(self) -> tuple[frozenset[str], frozenset[str]]:
        """The names of sets and of chains that are not what they were at the last call."""
        chains = (name for values in self._chains.values() for name in values.changed())
        return frozenset(self._sets.changed()), frozenset(chains)

    def ruleset(self) -> Ruleset:
        """Everything."""
        return Ruleset(
            dict(self._sets.now),
            {family: Table(self._hooks, dict(values.now)) for family, values in self._chains.items()},
        )

    def part(self, sets: Collection[str], chains: Collection[str]) -> Ruleset:
        """What there is of these names, in the table of every family."""
        return Ruleset(
            _chosen(sets, self._sets.now),
            {family: Table(self._hooks, _chosen(chains, values.now)) for family, values in self._chains.items()},
        )


def _chosen(names: Collection[Name], values: Mapping[Name, Value]) -> dict[Name, Value]:
    return {name: values[name] for name in names if name in values}
