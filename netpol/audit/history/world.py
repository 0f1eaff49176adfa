"""The cluster as it was at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, TypeVar

from netpol.audit.history.timeline import NAMED_FOR, Memory, Timeline, TimelineAt
from netpol.compiler.gates import pod_cidrs
from netpol.model.moments import Moment
from netpol.model.networks import Address
from netpol.model.objects import Namespace, Node, Pod
from netpol.model.policies import Policy
from netpol.model.snapshot import ObjectName, Snapshot
from netpol.model.treatment import AuditLevel
from netpol.policy.judgement import End, NodeEnd, PodEnd
from netpol.policy.lookups import Lookups
from netpol.policy.verdict import Oracle
from netpol.settings import NodeOptions

Name = TypeVar("Name")
PoliciesByName = Mapping[str, Policy]


@dataclass(frozen=True, slots=True)
class Timelines:
    """Everything that a snapshot has and an oracle looks up, now and before."""

    namespaces: Timeline[str, Namespace]
    pods: Timeline[ObjectName, Pod]
    nodes: Timeline[str, Node]
    policies: Timeline[ObjectName, Policy]
    policies_by_namespace: Timeline[str, PoliciesByName]
    holders: Timeline[Address, Pod]
    nodes_by_address: Timeline[Address, Node]
    local_pods: Timeline[str, Pod]
    """The pods of the node by the digest that log points have of them."""

    @classmethod
    def of_nothing(cls) -> Self:
        """Those of a cluster of which nothing is known."""
        memory = Memory(0)
        return cls(*(Timeline({}, memory) for _ in range(8)))

    def oracle(self) -> Oracle:
        """An oracle of the state that is current; it is true until that changes."""
        snapshot = Snapshot(self.namespaces.current, self.pods.current, self.nodes.current, self.policies.current)
        lookups = Lookups(self.holders.current, self.nodes_by_address.current, self.policies_by_namespace.current)
        return Oracle(snapshot, lookups)

    def oracle_at(self, moment: Moment) -> Oracle:
        """An oracle of the state at the moment; it is true for as long as that is remembered."""
        snapshot = Snapshot(
            TimelineAt(self.namespaces, moment),
            TimelineAt(self.pods, moment),
            TimelineAt(self.nodes, moment),
            TimelineAt(self.policies, moment),
        )
        lookups = Lookups(
            TimelineAt(self.holders, moment),
            TimelineAt(self.nodes_by_address, moment),
            TimelineAt(self.policies_by_namespace, moment),
        )
        return Oracle(snapshot, lookups)


class World:
    """Who was who at one moment, and an oracle of it."""

    def __init__(self, timelines: Timelines, oracle: Oracle, moment: Moment, options: NodeOptions) -> None:
        self._timelines = timelines
        self._moment = moment
        self._options = options
        self.oracle = oracle

    def end_at(self, address: Address) -> End:
        """Who stood behind the address: a pod (X1), else a node, else the outside."""
        return self.oracle.end_at(address)

    def pod(self, digest: str) -> Pod | None:
        """The pod of this node that a log point names by this digest."""
        return self._timelines.local_pods.at(digest, self._moment)

    def departed_pod(self, digest: str) -> Pod | None:
        """The pod of this node that a log point names by this digest, where it was gone, and not for long."""
        return _lately(self._timelines.local_pods, digest, self._moment)

    def departed(self, address: Address) -> Pod | None:
        """The pod that the address stood for last, where it stood for none any more, and not for long."""
        return _lately(self._timelines.holders, address, self._moment)

    def is_local(self, end: End) -> bool:
        """True for a pod of this node, whose chains are in this kernel."""
        return isinstance(end, PodEnd) and end.pod.node == self._options.name

    def is_unknown(self, address: Address) -> bool:
        """True where G12 refuses the address: it is of the node's pod range, and no known pod's or the node's own."""
        own = self._timelines.nodes.at(self._options.name, self._moment)
        if not any(address in cidr for cidr in pod_cidrs(own, self._options)):
            return False
        end = self.end_at(address)
        return not (isinstance(end, PodEnd) or (isinstance(end, NodeEnd) and end.node.name == self._options.name))

    def audit_level(self, namespace: str) -> AuditLevel:
        """What is recorded of the pods of the namespace (X17)."""
        known = self._timelines.namespaces.at(namespace, self._moment) or Namespace(namespace)
        return known.treatment(self._options.treatment).audit


def _lately(timeline: Timeline[Name, Pod], name: Name, moment: Moment) -> Pod | None:
    """The pod that stood there last, where none did at the moment, and one had not long before."""
    if timeline.at(name, moment) is not None:
        return None
    last = timeline.last(name, moment)
    return None if last is None or moment - last.until > NAMED_FOR else last.value
