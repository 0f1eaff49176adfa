"""Which pod each address stands for while pods come, change and go (X1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from netpol.model.change import Change
from netpol.model.networks import Address
from netpol.model.objects import Pod
from netpol.model.snapshot import ObjectName, holders


class Claims:
    """What every actionable pod claims, and who of several is the newest: `holders` of pods that change."""

    def __init__(self) -> None:
        self._winners: dict[Address, Pod] = {}
        self._contested: dict[Address, dict[ObjectName, Pod]] = {}

    @property
    def pods_by_address(self) -> Mapping[Address, Pod]:
        """The pod that each address stands for: a view, which changes with the next changes."""
        return self._winners

    def replace(self, changes: Iterable[Change[Pod]]) -> dict[ObjectName, Pod | None]:
        """The changes are made; returns whom they concern, each as it is now, None for gone.

        A pod that has not changed is concerned too where it won or lost an address.
        """
        concerned: dict[ObjectName, Pod | None] = {}
        arriving: list[Pod] = []
        for before, after in changes:
            if before is not None:
                concerned[_name(before)] = None
                self._withdraw(before, concerned)
            if after is not None:
                arriving.append(after)
        for pod in arriving:
            concerned[_name(pod)] = pod
            self._claim(pod, concerned)
        return concerned

    def _withdraw(self, pod: Pod, concerned: dict[ObjectName, Pod | None]) -> None:
        """The pod claims no address; who holds one in its place is concerned."""
        if not pod.actionable:
            return
        for address in dict.fromkeys(pod.addresses):
            rivals = self._contested.get(address)
            if rivals is None:
                del self._winners[address]
                continue
            del rivals[_name(pod)]
            if self._winners[address] is pod:
                winner = self._decide(address, rivals)
                concerned[_name(winner)] = winner
            if len(rivals) == 1:
                del self._contested[address]

    def _claim(self, pod: Pod, concerned: dict[ObjectName, Pod | None]) -> None:
        """The pod claims its addresses; who loses one to it is concerned."""
        if not pod.actionable:
            return
        for address in dict.fromkeys(pod.addresses):
            former = self._winners.setdefault(address, pod)
            if former is pod:
                continue
            rivals = self._contested.setdefault(address, {_name(former): former})
            rivals[_name(pod)] = pod
            if self._decide(address, rivals) is not former:
                concerned[_name(former)] = former

    def _decide(self, address: Address, rivals: Mapping[ObjectName, Pod]) -> Pod:
        winner = self._winners[address] = holders(rivals.values())[address]
        return winner


def _name(pod: Pod) -> ObjectName:
    return pod.namespace, pod.name
