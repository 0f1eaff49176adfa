"""Who comes first of those that want the same: the oldest, and the others in their order behind it."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterator
from typing import Generic, NamedTuple, TypeVar

from netpol.model.services import Service
from netpol.model.snapshot import ObjectName

Stake = TypeVar("Stake", bound=Hashable)


class Rank(NamedTuple):
    """The place of a service among others, the smallest being the first; every node comes to the same order."""

    unknown_age: bool
    created: str
    name: ObjectName

    @classmethod
    def of(cls, service: Service) -> Rank:
        """By age, then by name; a service of unknown age goes behind all others."""
        return cls(not service.created, service.created, (service.namespace, service.name))


class Seniority(Generic[Stake]):
    """Who wants what, the first of each known at once."""

    def __init__(self) -> None:
        self._lines: dict[Stake, list[Rank]] = {}

    def join(self, stake: Stake, rank: Rank) -> bool:
        """It wants this too; true where it is now the first that does."""
        line = self._lines.setdefault(stake, [])
        insort(line, rank)
        return line[0] == rank

    def leave(self, stake: Stake, rank: Rank) -> bool:
        """It wants this no more; true where it was the first that did."""
        line = self._lines[stake]
        place = bisect_left(line, rank)
        del line[place]
        if not line:
            del self._lines[stake]
        return place == 0

    def first(self, stake: Stake) -> ObjectName | None:
        """Who comes first; None where nobody wants it."""
        line = self._lines.get(stake)
        return line[0].name if line else None

    def all(self, stake: Stake) -> Iterator[ObjectName]:
        """All that want it, in their order."""
        return (rank.name for rank in self._lines.get(stake, ()))
