"""The oracle's answers: whether a connection may open, and every reason for it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from netpol.model.networks import Address
from netpol.model.objects import ISOLATION_ANNOTATION, Node, Pod
from netpol.model.policies import Direction, Policy
from netpol.model.ports import OtherProtocol, Protocol, ProtocolPort


@dataclass(frozen=True, slots=True)
class PodEnd:
    """An end of a connection that is an actionable pod, at one of its addresses."""

    pod: Pod
    address: Address

    def __str__(self) -> str:
        return str(self.pod)


@dataclass(frozen=True, slots=True)
class NodeEnd:
    """An end that is a node; `address` is None where the node's addresses are not known."""

    node: Node
    address: Address | None

    def __str__(self) -> str:
        return str(self.node)


@dataclass(frozen=True, slots=True)
class ExternalEnd:
    """An end outside the cluster."""

    address: Address

    def __str__(self) -> str:
        return str(self.address)


End = PodEnd | NodeEnd | ExternalEnd


@dataclass(frozen=True, slots=True)
class Connection:
    """An opening packet, its addresses as they are after service translation (G5).

    `port` is None for protocols without ports.
    """

    source: End
    destination: End
    protocol: Protocol | OtherProtocol
    port: int | None

    @property
    def protocol_port(self) -> ProtocolPort | OtherProtocol:
        """What it opens to."""
        if isinstance(self.protocol, OtherProtocol):
            return self.protocol
        return ProtocolPort(self.protocol, self.port)


class Reason(enum.Enum):
    """Why one side of a connection is allowed or refused."""

    RULE = "rule"
    NOT_ISOLATED = "not-isolated"
    NOT_A_POD = "not-a-pod"
    OWN_NODE = "own-node"
    OWN_ADDRESS = "own-address"
    IMPLICIT_ISOLATION = "implicit-isolation"
    NO_COMMON_FAMILY = "no-common-family"


@dataclass(frozen=True, slots=True)
class PolicyReference:
    """A policy, or one rule of it by its index in the policy's list for that direction.

    `uid` and `generation` tell which state of which object it was, and make no other policy of it.
    """

    kind: str
    namespace: str
    name: str
    rule: int | None = None
    uid: str = field(default="", compare=False)
    generation: int = field(default=0, compare=False)

    @classmethod
    def to(cls, policy: Policy, rule: int | None = None) -> PolicyReference:
        """The reference to a NetworkPolicy, or to one rule of it."""
        return cls("NetworkPolicy", policy.namespace, policy.name, rule, policy.uid, policy.generation)


@dataclass(frozen=True, slots=True)
class AnnotationReference:
    """A namespace's DefaultDeny annotation (B1), which isolates without a policy."""

    name: str
    annotation: str = ISOLATION_ANNOTATION


Reference = PolicyReference | AnnotationReference


class Lack(enum.Enum):
    """What a rule would have needed to match."""

    PORT = "port"
    PEER_LABEL = "peer label"
    NAMESPACE_LABEL = "namespace label"
    ADDRESS = "address"
    PEER = "peer"


@dataclass(frozen=True, slots=True)
class NearestMiss:
    """The rule that came closest to allowing a refused connection, and what it lacked, in words too."""

    policy: PolicyReference
    lacked: tuple[Lack, ...]
    detail: str


@dataclass(frozen=True, slots=True)
class Decision:
    """One side's answer: `policies` are the rules that allowed, `isolating` what isolates the pod.

    `would_deny` is the refusal that an allowed connection would meet if policies under audit were enforced (X16).
    """

    direction: Direction
    allowed: bool
    reason: Reason
    policies: tuple[PolicyReference, ...] = ()
    isolating: tuple[Reference, ...] = ()
    nearest_miss: NearestMiss | None = None
    would_deny: Decision | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Both sides' answers; each is judged whatever the other says (G1)."""

    egress: Decision
    ingress: Decision

    @property
    def allowed(self) -> bool:
        """True where the connection may open."""
        return self.egress.allowed and self.ingress.allowed

    @property
    def spared(self) -> bool:
        """True where it may open, and may not once what is under audit is enforced (X16)."""
        return self.allowed and not (self.egress.would_deny is None and self.ingress.would_deny is None)
