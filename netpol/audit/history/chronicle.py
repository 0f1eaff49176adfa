"""The cluster at every moment of the last minutes, as the kernel had been told of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import chain, islice
from typing import NamedTuple

from cachetools import LRUCache

from netpol.audit.history.objects import Objects
from netpol.audit.history.timeline import Memory
from netpol.audit.history.world import Timelines, World
from netpol.model.facts import Fact
from netpol.model.moments import SECOND, Moment
from netpol.policy.verdict import Oracle
from netpol.settings import NodeOptions

NEAR: Moment = SECOND
"""How far a packet's time and that of a change may be apart for the packet to have met the other side of it."""
MOST_NEAR = 8
"""How many changes near a moment are looked at."""
MOST_SPANS = 10_000
"""How many changes are told apart; of what was before them nothing is said."""
MOST_ORACLES = 2 * MOST_NEAR


class _Span(NamedTuple):
    """When the kernel was changed: at a moment between the two."""

    began: Moment
    ended: Moment


class Chronicle:
    """What is known of the cluster, and what was known; told and asked by one thread.

    A change counts from the moment at which the kernel was certain to hold it. Of moments before the
    first facts, and of those that are forgotten, nothing is known; but what the first facts came to may
    have been in the kernel before, since `began` of them, and so be near. The node's own Node object is
    not forgotten, nor are its pod ranges, as in the engine (G12).
    """

    def __init__(self, options: NodeOptions) -> None:
        self._options = options
        self._objects = Objects(options.name)
        self._is_known = False
        self._begin(0)

    def _begin(self, moment: Moment) -> None:
        """Nothing is remembered of before the moment."""
        self._memory = Memory(moment)
        self._timelines = self._objects.timelines(self._memory)
        self._spans: list[_Span] = []
        self._oracles: LRUCache[Moment | None, Oracle] = LRUCache(MOST_ORACLES)

    # --- questions

    @property
    def is_known(self) -> bool:
        """True once anything was told."""
        return self._is_known

    def at(self, moment: Moment) -> World:
        """The cluster at the moment; a cluster of nothing where that is not remembered."""
        if self._remembers(moment):
            return World(self._timelines, self._oracle(moment), moment, self._options)
        nothing = Timelines.of_nothing()
        return World(nothing, nothing.oracle(), moment, self._options)

    def near(self, moment: Moment) -> Iterator[World]:
        """The cluster at the moment, then on the other side of each change that was near it, the nearest first.

        What is not remembered is passed over.
        """
        following = self._following(moment)
        later = ((max(0, span.began - moment), span.ended) for span in self._spans[following : following + MOST_NEAR])
        passed = self._spans[max(0, following - MOST_NEAR) : following]
        earlier = ((moment - span.ended, span.ended - 1) for span in reversed(passed))
        near = (other for distance, other in islice(merge(later, earlier), MOST_NEAR) if distance <= NEAR)
        return (self.at(each) for each in chain((moment,), near) if self._remembers(each))

    def _remembers(self, moment: Moment) -> bool:
        return self._is_known and moment >= self._memory.since

    def _oracle(self, moment: Moment) -> Oracle:
        """The oracle of all moments between the same two changes."""
        following = self._following(moment)
        until = self._spans[following].ended if following < len(self._spans) else None
        oracle = self._oracles.get(until)
        if oracle is None:
            oracle = self._timelines.oracle() if until is None else self._timelines.oracle_at(until - 1)
            self._oracles[until] = oracle
        return oracle

    def _following(self, moment: Moment) -> int:
        """The place of the first change after the moment."""
        return bisect_right(self._spans, moment, key=_ended)

    # --- what changes

    def follow(self, facts: Iterable[Fact], began: Moment, ended: Moment) -> None:
        """The kernel has held these facts, of several about one object the last, since a moment between the two.

        A clock that was set back in between leaves nothing that could be put in order: history begins anew.
        """
        if not self._is_known or ended < self._memory.now:
            self._begin(ended)
        self._is_known = True
        self._memory.advance(ended)
        if not self._objects.replace(facts, self._timelines):
            return
        self._spans.append(_Span(began, ended))
        if len(self._spans) > MOST_SPANS:
            self._memory.forget(self._spans.pop(0).ended)
        self._oracles.pop(None, None)


def _ended(span: _Span) -> Moment:
    return span.ended
