"""A cluster as its policies of one extent treat it: what they allow, and whom they isolate (X16)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from netpol.model.objects import Namespace, Pod
from netpol.model.policies import Direction, Policy, Semantics
from netpol.model.ports import ProtocolPort
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import Extent
from netpol.policy.judgement import Connection, Decision, End, PodEnd
from netpol.policy.lookups import Lookups
from netpol.policy.verdict import Oracle


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a connection: that of a pod which lets it out, or in."""

    direction: Direction
    subject: PodEnd
    peer: End
    port: ProtocolPort

    @property
    def connection(self) -> Connection:
        """The connection that it is a side of."""
        if self.direction is Direction.INGRESS:
            return Connection(self.peer, self.subject, self.port.protocol, self.port.port)
        return Connection(self.subject, self.peer, self.port.protocol, self.port.port)


class View:
    """A snapshot, of whose policies those of one extent are looked at."""

    def __init__(self, snapshot: Snapshot, extent: Extent, lookups: Lookups | None = None) -> None:
        self._snapshot = snapshot
        self._extent = extent
        self._lookups = Lookups.of(snapshot) if lookups is None else lookups
        self._oracle = Oracle(snapshot, self._lookups, extent=extent)

    def having(self, policy: Policy) -> View:
        """The same with this policy, in the place of one of its name."""
        own = self._lookups.policies_by_namespace.get(policy.namespace, {})
        policies = {**self._lookups.policies_by_namespace, policy.namespace: {**own, policy.name: policy}}
        return View(self._snapshot, self._extent, replace(self._lookups, policies_by_namespace=policies))

    def judge(self, side: Side) -> Decision:
        """The oracle's answer for this side."""
        return self._oracle.decide(side.direction, side.connection)

    def isolates(self, pod: Pod, direction: Direction) -> bool:
        """True where the pod is isolated (V1, M4), also one that has no address yet."""
        namespace = self._snapshot.namespaces.get(pod.namespace) or Namespace(pod.namespace)
        annotated = direction is Direction.INGRESS and namespace.default_deny
        policies = self._lookups.policies_by_namespace.get(pod.namespace, {}).values()
        return (annotated and self._extent.includes(namespace.enforcement)) or any(
            policy.semantics is Semantics.V1
            and direction in policy.directions
            and self._extent.includes(policy.enforcement, namespace.enforcement)
            and policy.pods.matches(pod.labels)
            for policy in policies
        )
