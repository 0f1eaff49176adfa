"""Facts, put together as far as one plan may carry them out.

A plan passes from the state before to the state after without a moment in between, as
long as either peers change or the judgement of pods does (`dataplane.plan`). Where one
follows upon the other there are two plans: what a pod allows and who its peers are would
otherwise meet in a combination that the cluster never had.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from netpol.compiler.engine import Engine, Touched
from netpol.compiler.ruleset import IpSet, Rule, Ruleset, Table
from netpol.model.facts import Fact
from netpol.model.networks import Family

Value = TypeVar("Value", IpSet, tuple[Rule, ...])

MOST_BATCHES = 20
"""How many plans a backlog may become: each may write tables, and to be late by seconds is worse than a moment."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Facts, the names that they touched, and what is desired under these names after them."""

    facts: tuple[Fact, ...]
    touched: Touched
    part: Ruleset


def one_batch(engine: Engine, facts: Sequence[Fact]) -> Iterator[Batch]:
    """The batch of facts whose order is not known; none where they touch nothing."""
    touched = engine.apply(facts)
    if touched:
        yield Batch(tuple(facts), touched, engine.part(touched))


def batches(engine: Engine, facts: Iterable[Fact]) -> Iterator[Batch]:
    """The batches that bring the engine through these facts, in their order.

    What a batch holds is as of its own last fact; the engine may be ahead of the one that was just given. Facts
    that touch nothing are in no batch. The last of `MOST_BATCHES` has whatever is left, as facts without an order.
    """
    gathered = _Gathered()
    more = MOST_BATCHES - 1
    for fact in facts:
        touched = engine.apply((fact,))
        if not touched:
            continue
        if more and gathered.facts and crosses(gathered.touched, touched):
            yield gathered.batch()
            gathered = _Gathered()
            more -= 1
        gathered.add(fact, touched, engine.part(touched))
    if gathered.facts:
        yield gathered.batch()


def crosses(earlier: Touched, later: Touched) -> bool:
    """True where the one changes who peers are, and the other what pods allow."""
    return (earlier.moved and later.rejudged) or (earlier.rejudged and later.moved)


class _Gathered:
    """A batch in the making: the latest value of each name."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.touched = Touched()
        self._sets: dict[str, IpSet] = {}
        self._chains: dict[Family, dict[str, tuple[Rule, ...]]] = {}
        self._tables: dict[Family, Table] = {}

    def add(self, fact: Fact, touched: Touched, part: Ruleset) -> None:
        self.facts.append(fact)
        self.touched |= touched
        _overlay(self._sets, part.sets, touched.sets)
        for family, table in part.tables.items():
            self._tables[family] = table
            _overlay(self._chains.setdefault(family, {}), table.chains, touched.chains)

    def batch(self) -> Batch:
        tables = {family: Table(table.hooks, self._chains[family]) for family, table in self._tables.items()}
        return Batch(tuple(self.facts), self.touched, Ruleset(self._sets, tables))


def _overlay(onto: dict[str, Value], values: Mapping[str, Value], names: Iterable[str]) -> None:
    """Each of the names has its new value, or none any more."""
    for name in names:
        if name in values:
            onto[name] = values[name]
        else:
            onto.pop(name, None)
