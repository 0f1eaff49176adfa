"""The sets of unknown addresses, kept while pods of the node's range come and go (G12)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from netpol.compiler.gates import PodRange
from netpol.compiler.ruleset import IpSet
from netpol.model.change import Change
from netpol.model.networks import Family, Network
from netpol.policy.holders import Holder


class KnownPods:
    """The addresses in the node's pod range that known pods hold."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._ranges = {family: PodRange.of(family, ()) for family in families}
        self._known: dict[Family, set[bytes]] = {family: set() for family in self._ranges}

    def move(self, moves: Sequence[Change[Holder]]) -> Iterator[IpSet]:
        """The holders have moved; the sets of the families that this concerns."""
        for family, here in self._ranges.items():
            if not here.networks:
                continue
            gone = set(_inside(here, (move.before for move in moves)))
            come = set(_inside(here, (move.after for move in moves)))
            if gone != come:
                self._known[family] -= gone
                self._known[family] |= come
                yield here.unknown_set(self._known[family])

    def replace_ranges(self, cidrs: Sequence[Network], holders: Iterable[Holder]) -> Iterator[IpSet]:
        """The node's pod ranges are these, and the holders all there are; every family's set."""
        holders = tuple(holders) if cidrs else ()
        for family in self._ranges:
            here = self._ranges[family] = PodRange.of(family, cidrs)
            self._known[family] = set(_inside(here, holders))
            yield here.unknown_set(self._known[family])


def _inside(here: PodRange, holders: Iterable[Holder | None]) -> Iterator[bytes]:
    return (
        packed for holder in holders if holder is not None for packed in holder.packed[here.family] if packed in here
    )
