"""What the writers of the proxy's parts of the kernel offer: the seam between plans and the kernel.

Each has two implementations that keep one contract: the real one and `memory`'s. Every method
raises KernelRefusal, naming what was refused and why.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from netpol.model.networks import Address
from netpol.settings import ConnectionTimeouts
from proxy.model import HeldServer, ServerKey, ServerStep


class VirtualServers(Protocol):
    """IPVS of this network namespace, with the servers of whoever made them."""

    def read(self) -> Mapping[ServerKey, HeldServer]:
        """Every virtual server with its destinations and what they carry."""

    def keys(self) -> frozenset[ServerKey]:
        """Every virtual server, without asking what it has."""

    def read_one(self, key: ServerKey) -> HeldServer | None:
        """One virtual server; None where there is none."""

    def apply(self, steps: Iterable[ServerStep]) -> None:
        """Each step is carried out, in order; many go to the kernel at once, and one refused stops none of the others.

        What is gone already is no error to remove, what is there already none to add: it is then made to fit.
        """

    def offers(self, scheduler: str) -> bool:
        """True where the kernel has this scheduler, or finds its module."""

    def set_timeouts(self, timeouts: ConnectionTimeouts) -> None:
        """Idle connections are kept so long; None leaves what there is."""


class ServiceLink(Protocol):
    """The link that holds the service addresses, so that the node takes their packets for its own."""

    def read(self) -> frozenset[Address] | None:
        """The addresses on it; None where there is no link."""

    def ensure(self) -> bool:
        """The link is there and up, and answers no ARP; returns whether anything of that was not so."""

    def bind(self, addresses: Iterable[Address]) -> None:
        """It has these addresses too; one that is there already is no error."""

    def unbind(self, addresses: Iterable[Address]) -> None:
        """It has these addresses no more; one that is gone already is no error."""

    def remove(self) -> None:
        """There is no such link, and none of its addresses."""


class NodeAddresses(Protocol):
    """The addresses of this network namespace that others reach it by."""

    def read(self) -> frozenset[Address]:
        """Those of every link but the loopback and the service link; none that is link-local."""


class Sysctls(Protocol):
    """The kernel settings (sysctls) that services need, and what they were before."""

    def drift(self) -> Mapping[str, str]:
        """The settings that are not as they should be, and what they should be."""

    def ensure(self) -> None:
        """They are as they should be; what they were is remembered, where the next process finds it."""

    def restore(self) -> None:
        """They are what they were, but for those that somebody else has changed since, or that pods need."""


class Bridges(Protocol):
    """The bridges that pods are behind."""

    def let_return(self, pods: Iterable[Address]) -> int:
        """A pod there that reaches itself through a service gets the answer; returns how many ports had to change."""


class Tunnels(Protocol):
    """What direct return needs: packets with a mark taken for our own, and pods that unpack what they are sent."""

    def route_marks(self, marks: Collection[int]) -> int:
        """Packets with exactly these marks of ours come to this node's IPVS, whatever their address.

        Returns how many rules and routes had to come or go for that.
        """

    def open(self, pod: Address, service_addresses: frozenset[Address]) -> None:
        """The pod takes packets to these addresses out of its tunnel; KernelRefusal where it cannot be reached."""

    def close_all(self, except_pods: Collection[Address] = ()) -> None:
        """No other pod that was opened, and is still there, has a tunnel of ours."""

    def remove(self) -> None:
        """Nothing of it is left on the node; tunnels in pods are closed where they can be reached."""
