"""The cluster's objects, reduced to what policy depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from netpol.model.networks import Address, Network
from netpol.model.ports import Protocol
from netpol.model.treatment import AuditLevel, DenyAction, Enforcement, Treatment

ISOLATION_ANNOTATION = "net.beta.kubernetes.io/network-policy"


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace: its labels, and whether its annotation isolates its pods for ingress (B1, B2, M4).

    `enforcement` is of all policies of the namespace and of that annotation (X16). An `audit` or
    `deny_action` of None is the node's.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    default_deny: bool = False
    enforcement: Enforcement = Enforcement.ENFORCE
    audit: AuditLevel | None = None
    deny_action: DenyAction | None = None

    def treatment(self, default: Treatment) -> Treatment:
        """How verdicts on its pods are treated, where `default` is how the node treats them."""
        return Treatment(self.audit or default.audit, self.deny_action or default.deny_action)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A port that a container (or a restartable init container, V7) gives a name."""

    name: str
    protocol: Protocol
    number: int


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as a firewall sees it.

    `created` is its creation time, in UTC and always to the microsecond, so that the texts compare
    as the times do; "" where it is unknown. `workload` is the controller that owns it, as
    `Deployment/web`, a ReplicaSet being its Deployment's; "" where it has none.
    """

    namespace: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    addresses: tuple[Address, ...] = ()
    node: str = ""
    host_network: bool = False
    finished: bool = False
    ports: tuple[ContainerPort, ...] = ()
    uid: str = ""
    created: str = ""
    workload: str = ""

    @property
    def actionable(self) -> bool:
        """True where policies concern this pod, as subject and as peer (G3)."""
        return bool(self.addresses) and not self.host_network and not self.finished

    def numbers_of(self, name: str, protocol: Protocol) -> frozenset[int]:
        """The port numbers this pod gives `name` for `protocol` (V7); empty where it has no such port."""
        return frozenset(port.number for port in self.ports if port.name == name and port.protocol is protocol)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Node:
    """A node: the addresses that are its own, and the ranges its pods get theirs from; `zone` is "" where it says none.

    The first address of each family is the one that others are told.
    """

    name: str
    addresses: tuple[Address, ...] = ()
    pod_cidrs: tuple[Network, ...] = ()
    zone: str = ""

    def __str__(self) -> str:
        return f"node/{self.name}"
