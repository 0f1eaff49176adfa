"""The link that has the services' addresses, and which it has."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from typing import NamedTuple

from netpol.errors import KernelRefusal
from netpol.model.networks import Address
from proxy.kernel.protocols import ServiceLink


class Moves(NamedTuple):
    """Which addresses come to the link, and which leave it."""

    bind: tuple[Address, ...] = ()
    unbind: tuple[Address, ...] = ()


class LinkAddresses(Collection[Address]):
    """The addresses on the link, known without asking from one `read` to the next.

    An address that the kernel refuses by itself keeps no other from the link: it is among the `refused`. What else
    writes or reads the kernel raises KernelRefusal.
    """

    def __init__(self, link: ServiceLink) -> None:
        self._link = link
        self._bound: set[Address] = set()
        self._refused: dict[Address, str] = {}

    @property
    def refused(self) -> Mapping[Address, str]:
        """The addresses that are to be there and are not, and why."""
        return self._refused

    def __contains__(self, address: object) -> bool:
        return address in self._bound

    def __iter__(self) -> Iterator[Address]:
        return iter(self._bound)

    def __len__(self) -> int:
        return len(self._bound)

    def ensure(self) -> bool:
        """The link is there and as it should be; returns whether anything of that was not so."""
        return self._link.ensure()

    def read(self) -> None:
        """It is known which addresses the link has."""
        self._bound = set(self._link.read() or ())

    def moves(self, addresses: Iterable[Address], wanted: Container[Address]) -> Moves:
        """Which of the addresses come and go, so that the link has those of them that are wanted."""
        ordered = sorted(addresses, key=lambda each: (each.version, each.packed))
        for each in ordered:
            self._refused.pop(each, None)
        return Moves(
            tuple(each for each in ordered if each in wanted and each not in self._bound),
            tuple(each for each in ordered if each not in wanted and each in self._bound),
        )

    def bind(self, addresses: Collection[Address]) -> None:
        """The link has these addresses too, but for those that are refused."""
        if not addresses:
            return
        try:
            self._link.bind(addresses)
        except KernelRefusal:
            if self._link.read() is None:
                raise
            for each in addresses:
                self._bind_one(each)
        else:
            self._bound.update(addresses)

    def _bind_one(self, address: Address) -> None:
        try:
            self._link.bind((address,))
        except KernelRefusal as refusal:
            self._refused[address] = str(refusal)
        else:
            self._bound.add(address)

    def unbind(self, addresses: Collection[Address]) -> None:
        """The link has these addresses no more."""
        if addresses:
            self._link.unbind(addresses)
            self._bound.difference_update(addresses)
