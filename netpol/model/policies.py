"""Network policies, with every default and every unreadable part already settled."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from netpol.model.labels import EVERYTHING, Selector
from netpol.model.networks import IPBlock
from netpol.model.ports import PortEntry
from netpol.model.treatment import Enforcement


class Direction(enum.Enum):
    """The side of a connection a rule judges, seen from the pod it selects."""

    INGRESS = "ingress"
    EGRESS = "egress"


class Tier(enum.Enum):
    """The tiers that judge a connection one after the other, in this order (C1)."""

    ADMIN = "admin"
    NETWORK_POLICY = "network-policy"
    BASELINE = "baseline"


class Semantics(enum.Enum):
    """Which rules a NetworkPolicy object follows (M2, M3)."""

    ANNOTATION = "annotation"
    """Section 1.1: it counts only in a namespace annotated DefaultDeny, and only for ingress."""
    V1 = "v1"
    """Section 1.2: it isolates the pods it selects."""


@dataclass(frozen=True, slots=True)
class PodPeer:
    """Pods by their labels, of one namespace or of the namespaces a selector matches (B11, V4).

    Exactly one of `namespace` and `namespace_selector` is set.
    """

    pods: Selector = EVERYTHING
    namespace: str | None = None
    namespace_selector: Selector | None = None

    def __str__(self) -> str:
        where = (
            f"namespace {self.namespace}"
            if self.namespace_selector is None
            else f"namespaces [{self.namespace_selector}]"
        )
        return f"pods [{self.pods}] of {where}"


Peer = PodPeer | IPBlock


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One entry of a policy's ingress or egress list; both parts must match.

    `None` is "not restricted"; an empty tuple matches nothing, because the entry says so
    (B7) or because nothing of it could be understood (M7).
    """

    index: int
    peers: tuple[Peer, ...] | None = None
    ports: tuple[PortEntry, ...] | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A NetworkPolicy of either API; `directions` are those it isolates its pods for (V1, V2)."""

    namespace: str
    name: str
    pods: Selector = EVERYTHING
    directions: frozenset[Direction] = frozenset({Direction.INGRESS})
    ingress: tuple[PolicyRule, ...] = ()
    egress: tuple[PolicyRule, ...] = ()
    semantics: Semantics = Semantics.V1
    uid: str = ""
    generation: int = 0
    enforcement: Enforcement = Enforcement.ENFORCE

    def rules(self, direction: Direction) -> tuple[PolicyRule, ...]:
        """The rules for `direction`; none where the policy does not isolate for it (V2: they are inert)."""
        if direction not in self.directions:
            return ()
        return self.ingress if direction is Direction.INGRESS else self.egress

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"
