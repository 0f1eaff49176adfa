"""Services and the endpoints behind them, reduced to what a service proxy depends on."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from netpol.model.networks import Address, Network
from netpol.model.ports import Protocol


class TrafficPolicy(enum.Enum):
    """Which endpoints traffic may go to; the values are the API's words."""

    CLUSTER = "Cluster"
    """Those of every node."""
    LOCAL = "Local"
    """Those of the node that it came to."""


class SchedulerFlag(enum.Enum):
    """What a scheduler of IPVS can be told to do otherwise; each scheduler knows its own meaning of them.

    The values are words of the annotation that asks for them (`ServiceAnnotation.SCHEDULER_FLAGS`).
    """

    FIRST = "flag-1"
    """For sh and mh: go on to another server where the one chosen takes none (fallback)."""
    SECOND = "flag-2"
    """For sh and mh: the client's port counts too (port)."""
    THIRD = "flag-3"


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port of a service; `name` is also that of its endpoints' ports. Without a node port, `node_port` is None."""

    protocol: Protocol
    number: int
    name: str = ""
    node_port: int | None = None

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol.value}"


@dataclass(frozen=True, slots=True)
class Service:
    """A service as a proxy sees it: those it has nothing to do with are none.

    What annotations ask for (`ServiceAnnotation`) is in the fields already: LOCAL makes both policies that,
    SKIP_LOAD_BALANCER takes the load balancer's addresses away. Without cluster addresses it is headless, of
    type ExternalName or another proxy's (`service.kubernetes.io/service-proxy-name`): left alone.

    `source_ranges` are who may use the load balancer's addresses, None being everybody; a range that
    cannot be read is not among them. `scheduler` is "" where none is asked for. `affinity_seconds` is
    None without session affinity. `created` compares as the times do (`Pod.created`).
    """

    namespace: str
    name: str
    cluster_addresses: tuple[Address, ...] = ()
    ports: tuple[ServicePort, ...] = ()
    external_addresses: tuple[Address, ...] = ()
    load_balancer_addresses: tuple[Address, ...] = ()
    source_ranges: frozenset[Network] | None = None
    internal_policy: TrafficPolicy = TrafficPolicy.CLUSTER
    external_policy: TrafficPolicy = TrafficPolicy.CLUSTER
    health_check_node_port: int | None = None
    affinity_seconds: int | None = None
    scheduler: str = ""
    scheduler_flags: frozenset[SchedulerFlag] = frozenset()
    hairpin: bool = False
    direct_return: bool = False
    uid: str = ""
    created: str = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address behind a service, with its conditions and the hints of who should use it.

    Hints are empty where there are none: everybody may.
    """

    address: Address
    node: str = ""
    ready: bool = True
    """It is to get connections: it is serving and not terminating, or its service asks for it before it is ready."""
    serving: bool = True
    """It answers, be it while its pod is on the way out (KEP-1669)."""
    terminating: bool = False
    """Its pod is being deleted."""
    zone_hints: frozenset[str] = frozenset()
    node_hints: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class EndpointPort:
    """A port of every endpoint beside it; `name` is that of the service's port."""

    protocol: Protocol
    number: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class EndpointGroup:
    """Endpoints that all serve on the same ports."""

    endpoints: tuple[Endpoint, ...]
    ports: tuple[EndpointPort, ...]


@dataclass(frozen=True, slots=True)
class EndpointSlice:
    """A part of a service's endpoints; `service` is the name of one in the same namespace.

    An EndpointSlice has one group. An Endpoints object, which servers before 1.21 have instead, is read as one
    too, with a group for each of its subsets.
    """

    namespace: str
    name: str
    service: str
    groups: tuple[EndpointGroup, ...] = ()

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"
