"""Virtual servers as values: what IPVS should hold, and what it was found to hold."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from netpol.model.networks import Address, Family, family_of
from netpol.model.ports import Protocol
from netpol.model.services import SchedulerFlag

DEFAULT_SCHEDULER = "rr"

SERVING_WEIGHT = 1
"""Of every destination that is to get connections: a service's endpoints are all alike."""
DRAINING_WEIGHT = 0
"""Of one that keeps the connections it has, and gets no more."""


class Forwarding(enum.Enum):
    """How a packet gets to its destination; the values are IPVS' numbers."""

    MASQUERADE = 0
    """Its destination is translated, and the answers' source back on their way through this node."""
    TUNNEL = 2
    """It is sent as it is in a packet of its own, and the answer goes straight to the client."""


class Origin(enum.Enum):
    """What a service has a virtual server for; the values are words for people."""

    CLUSTER = "cluster"
    NODE_PORT = "node port"
    EXTERNAL = "external"
    LOAD_BALANCER = "load balancer"

    @property
    def takes_external_traffic(self) -> bool:
        """True where the service's external traffic policy decides which endpoints serve, not the internal one."""
        return self is not Origin.CLUSTER

    @property
    def has_outside_address(self) -> bool:
        """True where clients outside the cluster reach the service at an address of its own, not at a node's."""
        return self in (Origin.EXTERNAL, Origin.LOAD_BALANCER)

    @property
    def may_be_others(self) -> bool:
        """True where a virtual server that was there first may be that of a program beside, which keeps it.

        Nobody but a service proxy has servers for the others: one that is there was left by another of them.
        """
        return self in (Origin.EXTERNAL, Origin.LOAD_BALANCER)


class ServerAddress(NamedTuple):
    """A virtual server that clients reach by address, protocol and port."""

    address: Address
    protocol: Protocol
    port: int

    @property
    def family(self) -> Family:
        """The family of the packets it takes."""
        return family_of(self.address)

    def __str__(self) -> str:
        """
        >>> from netpol.model.networks import parse_address
        >>> str(ServerAddress(parse_address("fd00::1"), Protocol.TCP, 80))
        '[fd00::1]:80/TCP'
        """
        address = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{address}:{self.port}/{self.protocol.value}"


class ServerMark(NamedTuple):
    """A virtual server for packets of one family that carry a mark (direct return)."""

    family: Family
    mark: int

    def __str__(self) -> str:
        return f"mark {self.mark:#x} of IPv{self.family.value}"


ServerKey = ServerAddress | ServerMark
"""What the kernel tells virtual servers apart by."""


class Destination(NamedTuple):
    """Where an endpoint listens; for `Forwarding.TUNNEL` the port is the client's."""

    address: Address
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if self.address.version == 6 else f"{self.address}:{self.port}"


class ServerDestination(NamedTuple):
    """One destination of one virtual server."""

    key: ServerKey
    destination: Destination


@dataclass(frozen=True, slots=True)
class Scheduling:
    """How connections are given to destinations; with `persistence_seconds`, a client stays where it was."""

    scheduler: str = DEFAULT_SCHEDULER
    flags: frozenset[SchedulerFlag] = frozenset()
    persistence_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class VirtualServer:
    """A virtual server as it should be: each destination with `SERVING_WEIGHT`.

    `title` is for people: the service and the name of its port.
    """

    key: ServerKey
    origin: Origin
    scheduling: Scheduling = Scheduling()
    destinations: frozenset[Destination] = frozenset()
    forwarding: Forwarding = Forwarding.MASQUERADE
    title: str = ""
    marked: ServerAddress | None = None
    """What clients ask for whose packets get the mark, where the key is one."""

    @property
    def protocol(self) -> Protocol | None:
        """What it carries; None where nothing says what the mark stands for."""
        asked_for = self.key if isinstance(self.key, ServerAddress) else self.marked
        return None if asked_for is None else asked_for.protocol


class Traffic(NamedTuple):
    """What a virtual server has carried since it was made, and carries a second."""

    connections: int = 0
    packets_in: int = 0
    packets_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    connections_per_second: int = 0
    packets_in_per_second: int = 0
    packets_out_per_second: int = 0
    bytes_in_per_second: int = 0
    bytes_out_per_second: int = 0


@dataclass(frozen=True, slots=True)
class HeldDestination:
    """A destination as the kernel has it; its connections are as of the read."""

    weight: int = SERVING_WEIGHT
    forwarding: Forwarding | None = Forwarding.MASQUERADE
    """None for a forwarding method of IPVS that the proxy has no use for: direct routing, the node itself."""
    active: int = field(default=0, compare=False)
    inactive: int = field(default=0, compare=False)
    persistent: int = field(default=0, compare=False)

    @property
    def is_draining(self) -> bool:
        """True where it only keeps the connections it has."""
        return self.weight == DRAINING_WEIGHT

    @property
    def connections(self) -> int:
        """How many connections or memories of clients it still has."""
        return self.active + self.inactive + self.persistent


@dataclass(frozen=True, slots=True)
class HeldServer:
    """A virtual server as the kernel has it, whoever made it."""

    key: ServerKey
    scheduling: Scheduling
    destinations: Mapping[Destination, HeldDestination] = field(default_factory=dict)
    traffic: Traffic = field(default=Traffic(), compare=False)


# --- what is done to the kernel


@dataclass(frozen=True, slots=True)
class AddServer:
    """Make a virtual server, without destinations."""

    key: ServerKey
    scheduling: Scheduling


@dataclass(frozen=True, slots=True)
class EditServer:
    """Schedule otherwise from now on; connections and destinations stay."""

    key: ServerKey
    scheduling: Scheduling


@dataclass(frozen=True, slots=True)
class RemoveServer:
    """Do without the virtual server and its connections."""

    key: ServerKey


@dataclass(frozen=True, slots=True)
class AddDestination:
    """Send connections there too."""

    key: ServerKey
    destination: Destination
    weight: int = SERVING_WEIGHT
    forwarding: Forwarding = Forwarding.MASQUERADE


@dataclass(frozen=True, slots=True)
class EditDestination:
    """Give the destination another weight."""

    key: ServerKey
    destination: Destination
    weight: int
    forwarding: Forwarding = Forwarding.MASQUERADE


@dataclass(frozen=True, slots=True)
class RemoveDestination:
    """Send nothing there any more, whoever is connected."""

    key: ServerKey
    destination: Destination


ServerStep = AddServer | EditServer | RemoveServer | AddDestination | EditDestination | RemoveDestination
"""Each is one message to the kernel."""
