"""What a rule that logs says of the packets it logs: a short text that outlives the agent.

It is a version and the name of a chain, and so the same for the same pod whenever and by
whichever process it is written.

>>> point = LogPoint.parse(prefix(names.pod_chain("web", "front", Direction.INGRESS)))
>>> point == LogPoint(LoggedOutcome.DENIED, Direction.INGRESS, pod_digest("web", "front"))
True
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from netpol.compiler import names
from netpol.compiler.names import PodChainKind
from netpol.model.policies import Direction

VERSION = "1"
"""Opens every prefix: a reader that finds another version says so and does not guess."""


class LoggedOutcome(enum.Enum):
    """What becomes of a packet at a rule that logs it."""

    DENIED = "denied"
    WOULD_BE_DENIED = "would be denied"
    """It passes, and would not if policies under audit were enforced (X16)."""
    ALLOWED = "allowed"
    MIDSTREAM = "midstream"
    """It opens no connection and belongs to none that is known (G11)."""
    CUT = "cut"
    """It answers a flow that was cut (G11)."""
    UNKNOWN_ADDRESS = "unknown address"
    """One of its addresses is of the node's pod range and no known pod's (G12)."""
    TUNNELLED = "tunnelled"
    """It carries another packet to an isolated pod, and nobody can judge that one (X5)."""


@dataclass(frozen=True, slots=True)
class LogPoint:
    """What a logged packet met; `direction` and `pod` are of the pod whose chain it was, None and "" for no pod's."""

    outcome: LoggedOutcome
    direction: Direction | None = None
    pod: str = ""

    @classmethod
    def parse(cls, prefix: str) -> LogPoint | None:
        """What the prefix says; None where it is of another version, or nobody of ours made it."""
        version, _, chain = prefix.partition(":")
        if version != VERSION:
            return None
        if outcome := _OF_NODE.get(chain):
            return cls(outcome)
        if found := names.parse_pod_chain(chain):
            return cls(_OF_POD[found.kind], found.direction, found.pod)
        return None


def prefix(chain: str) -> str:
    """What a rule of this chain logs packets with; at most 63 bytes, which is what NFLOG holds."""
    return f"{VERSION}:{chain}"


def pod_digest(namespace: str, pod: str) -> str:
    """How log points name a pod."""
    return names.digest(namespace, pod)


_OF_NODE = {
    names.INVALID: LoggedOutcome.MIDSTREAM,
    names.CUT: LoggedOutcome.CUT,
    names.UNKNOWN: LoggedOutcome.UNKNOWN_ADDRESS,
    names.TUNNELLED: LoggedOutcome.TUNNELLED,
}
_OF_POD = {
    PodChainKind.REFUSING: LoggedOutcome.DENIED,
    PodChainKind.AUDITING: LoggedOutcome.WOULD_BE_DENIED,
    PodChainKind.ALLOWING: LoggedOutcome.ALLOWED,
}
