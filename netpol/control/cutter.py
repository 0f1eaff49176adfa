"""Cutting the living connections that the policies deny (G11)."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial

from netpol.compiler.names import cut_set, unknown_set
from netpol.compiler.ruleset import IpSet
from netpol.control.answering import answering_sides, flows_answered
from netpol.control.cutting import UnknownAddresses, denied_flows
from netpol.dataplane.addresses import local_addresses
from netpol.dataplane.apply import Kernel
from netpol.dataplane.kernel import Flow
from netpol.model.networks import Address, Family, family_of
from netpol.model.snapshot import Snapshot
from netpol.policy.verdict import Oracle

REVIEW_SHARE = 0.05
"""Of the time that passes, at most so much goes into looking whether what is remembered is allowed again."""


class Cutter:
    """Forgets connections, and remembers for a time who answered those of UDP; for the thread that made the kernel.

    `read_addresses` gives the node's own addresses. They cost milliseconds to read and hardly
    ever change: what is known of them is asked for anew before a connection is cut, and
    where all connections are looked at. `clock` gives seconds that never go back.
    """

    def __init__(
        self,
        kernel: Kernel,
        node: str,
        read_addresses: Callable[[], frozenset[Address]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kernel = kernel
        self._node = node
        self._read_addresses = read_addresses or local_addresses
        self._clock = clock
        self._review_at = 0.0
        self._owes_review = False
        self._addresses: frozenset[Address] | None = None
        # Until it was looked: an earlier run may have left something to forget.
        self._remembers: dict[Family, bool] = dict.fromkeys(Family, True)

    def cut(
        self,
        snapshot: Snapshot,
        oracle: Oracle,
        sets: Mapping[str, IpSet],
        touching: Collection[Address] | None = None,
    ) -> int:
        """How many living connections are gone, because this node refuses now what opened them.

        `sets` has the unknown and the cut set of each family that is written; with `touching`, only
        connections with an end among these addresses are looked at. Raises KernelRefusal.
        """
        if touching is None:
            self._addresses = None
        # Tens of thousands that were cut at once are judged in a second: not at every event.
        self._owes_review = touching is not None and self._clock() < self._review_at
        families = [family for family in Family if cut_set(family) in sets]
        flows: dict[Family, list[Flow]] = {family: [] for family in families}
        for flow in self._kernel.flows.read(*families, touching=touching):
            flows[family_of(flow.source)].append(flow)
        refused = partial(self._refused, snapshot, oracle)
        gone = sum(self._cut_family(family, refused, sets, flows[family]) for family in families)
        if not self._owes_review:
            self._review(families, refused, sets)
        return gone

    def review_wait_seconds(self) -> float | None:
        """How long until those remembered are to be looked at, by a cut that touches nothing; None: not at all."""
        if not (self._owes_review and self.remembers()):
            return None
        return max(0.0, self._review_at - self._clock())

    def remembers(self) -> bool:
        """True where somebody who answered a flow that was cut may be remembered still."""
        return any(self._remembers.values())

    def _cut_family(
        self,
        family: Family,
        refused: Callable[[UnknownAddresses, Iterable[Flow]], list[Flow]],
        sets: Mapping[str, IpSet],
        flows: Iterable[Flow],
    ) -> int:
        """Who answered a flow of UDP is remembered first, so that no datagram of theirs comes in between."""
        sides, unknown = sets[cut_set(family)], UnknownAddresses.of(sets[unknown_set(family)])
        denied = refused(unknown, flows)
        try:
            if answering := answering_sides(denied):
                self._remembers[family] = True
                self._kernel.sets.add(sides, answering)
        finally:
            # A set without room is told, and no reason to let connections live.
            if denied:
                self._kernel.flows.delete(family, denied)
        return len(denied)

    def _review(
        self,
        families: Iterable[Family],
        refused: Callable[[UnknownAddresses, Iterable[Flow]], list[Flow]],
        sets: Mapping[str, IpSet],
    ) -> None:
        """Nobody is remembered whose connection the policies allow again."""
        began = self._clock()
        for family in families:
            if self._remembers[family]:
                sides, unknown = sets[cut_set(family)], UnknownAddresses.of(sets[unknown_set(family)])
                remembered = self._kernel.sets.read_members(sides)
                still = answering_sides(refused(unknown, flows_answered(remembered)))
                self._kernel.sets.remove(sides, remembered - still)
                self._remembers[family] = bool(still)
        now = self._clock()
        self._review_at = now + (now - began) / REVIEW_SHARE

    def _refused(
        self, snapshot: Snapshot, oracle: Oracle, unknown: UnknownAddresses, flows: Iterable[Flow]
    ) -> list[Flow]:
        """Those that are denied; where there are any, by addresses of the node read a moment ago."""
        suspects = list(flows)
        for is_sure in (False, True):
            if not suspects:
                break
            if is_sure or self._addresses is None:
                self._addresses = self._read_addresses()
            suspects = denied_flows(snapshot, self._node, self._addresses, suspects, unknown, oracle)
        return suspects
