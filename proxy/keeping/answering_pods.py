"""The pods of this node that answer for services directly, and what their packets come through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from netpol.errors import KernelRefusal
from netpol.model.networks import Address
from proxy.kernel.protocols import Tunnels
from proxy.model import ServerKey, ServerMark


class Returning:
    """Which pods take tunnelled packets, and which do not, with the reason; a pod out of reach is no refusal."""

    def __init__(self, tunnels: Tunnels) -> None:
        self._tunnels = tunnels
        self._marks: frozenset[int] | None = None
        self._opened: dict[Address, frozenset[Address]] | None = None
        self._unreachable: dict[Address, str] = {}

    @property
    def unreachable(self) -> Mapping[Address, str]:
        """The pods whose tunnels could not be opened, and why."""
        return self._unreachable

    def doubt(self) -> None:
        """What the kernel holds is not known any more."""
        self._marks = None
        self._opened = None

    def route(self, servers: Iterable[ServerKey]) -> int:
        """Packets with the marks of these servers come to IPVS; returns how many rules and routes changed.

        Raises KernelRefusal.
        """
        marks = frozenset(key.mark for key in servers if isinstance(key, ServerMark))
        if marks == self._marks:
            return 0
        self._marks = None
        changed = self._tunnels.route_marks(marks)
        self._marks = marks
        return changed

    def open(self, wanted: Mapping[Address, frozenset[Address]]) -> None:
        """Exactly these pods take packets to these addresses, as far as they can be reached. Raises KernelRefusal."""
        if self._opened is None or not self._opened.keys() <= wanted.keys():
            known, self._opened = self._opened or {}, None
            self._tunnels.close_all(except_pods=wanted.keys())
            self._opened = {pod: addresses for pod, addresses in known.items() if pod in wanted}
        self._unreachable = {pod: reason for pod, reason in self._unreachable.items() if pod in wanted}
        for pod, addresses in wanted.items():
            if self._opened.get(pod) != addresses:
                self._opened.pop(pod, None)
                if self._reaches(pod, addresses):
                    self._opened[pod] = addresses

    def _reaches(self, pod: Address, addresses: frozenset[Address]) -> bool:
        try:
            self._tunnels.open(pod, addresses)
        except KernelRefusal as refusal:
            self._unreachable[pod] = str(refusal)
            return False
        self._unreachable.pop(pod, None)
        return True
