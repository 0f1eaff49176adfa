"""The link that has the services' addresses, and which it has."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator
from typing import NamedTuple

from netpol.model.networks import Address
from proxy.kernel.protocols import ServiceLink


class Moves(NamedTuple):
    """Which addresses come to the link, and which leave it."""

    bind: tuple[Address, ...] = ()
    unbind: tuple[Address, ...] = ()


class LinkAddresses(Collection[Address]):
    """The addresses on the link, known without asking from one `read` to the next.

    What writes or reads the kernel raises KernelRefusal.
    """

    def __init__(self, link: ServiceLink) -> None:
        self._link = link
        self._bound: set[Address] = set()

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
        return Moves(
            tuple(each for each in ordered if each in wanted and each not in self._bound),
            tuple(each for each in ordered if each not in wanted and each in self._bound),
        )

    def bind(self, addresses: Collection[Address]) -> None:
        """The link has these addresses too."""
        if addresses:
            self._link.bind(addresses)
            self._bound.update(addresses)

    def unbind(self, addresses: Collection[Address]) -> None:
        """The link has these addresses no more."""
        if addresses:
            self._link.unbind(addresses)
            self._bound.difference_update(addresses)
