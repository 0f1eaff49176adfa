"""The cluster's objects as they are, who has which address by them, and what they replaced."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from netpol.audit.history.timeline import Memory, Timeline
from netpol.audit.history.world import PoliciesByName, Timelines
from netpol.compiler.gates import own_node
from netpol.compiler.log_points import pod_digest
from netpol.model.change import Change
from netpol.model.facts import Fact, Kind
from netpol.model.objects import Namespace, Node, Pod
from netpol.model.policies import Policy
from netpol.model.snapshot import ObjectName
from netpol.policy.claims import Claims
from netpol.policy.node_index import NodeIndex

Name = TypeVar("Name")
Value = TypeVar("Value")


@dataclass(slots=True)
class _Batch:
    """What facts have changed of the objects, by name."""

    namespaces: dict[str, Change[Namespace]] = field(default_factory=dict)
    pods: dict[ObjectName, Change[Pod]] = field(default_factory=dict)
    nodes: dict[str, Change[Node]] = field(default_factory=dict)
    policies: dict[ObjectName, Change[Policy]] = field(default_factory=dict)


class Objects:
    """The objects by the facts so far; those of node `node` by their log points too.

    The node's own Node object is not forgotten, nor are its pod ranges, as in the engine (G12).
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._namespaces: dict[str, Namespace] = {}
        self._pods: dict[ObjectName, Pod] = {}
        self._nodes: dict[str, Node] = {}
        self._policies: dict[ObjectName, Policy] = {}
        self._by_namespace: dict[str, PoliciesByName] = {}
        self._local_pods: dict[str, Pod] = {}
        self._claims = Claims()
        self._node_index = NodeIndex()

    def timelines(self, memory: Memory) -> Timelines:
        """Timelines of these objects, which begin with them as they are."""
        return Timelines(
            Timeline(self._namespaces, memory),
            Timeline(self._pods, memory),
            Timeline(self._nodes, memory),
            Timeline(self._policies, memory),
            Timeline(self._by_namespace, memory),
            Timeline(self._claims.pods_by_address, memory),
            Timeline(self._node_index.by_address, memory),
            Timeline(self._local_pods, memory),
        )

    def replace(self, facts: Iterable[Fact], timelines: Timelines) -> bool:
        """The facts are true, of several about one object the last; the timelines have what they replaced.

        True where anything has changed.
        """
        batch = self._put_all(facts, timelines)
        self._group(batch.policies, timelines)
        self._hold(batch.pods.values(), timelines)
        self._know_nodes(batch, timelines)
        self._know_local(batch.pods, timelines)
        return bool(batch.namespaces or batch.pods or batch.nodes or batch.policies)

    def _put_all(self, facts: Iterable[Fact], to: Timelines) -> _Batch:
        """The objects are as the facts say; returns what that changed."""
        batch = _Batch()
        for key, value in {fact.key: fact.value for fact in facts}.items():
            match key.kind, value:
                case Kind.NAMESPACE, Namespace() | None:
                    batch.namespaces |= _put(self._namespaces, key.name, value, to.namespaces)
                case Kind.POD, Pod() | None:
                    batch.pods |= _put(self._pods, key.object_name, value, to.pods)
                case Kind.NODE, Node() | None:
                    node = own_node(self._nodes.get(key.name), value) if key.name == self._node else value
                    batch.nodes |= _put(self._nodes, key.name, node, to.nodes)
                case Kind.NETWORK_POLICY, Policy() | None:
                    batch.policies |= _put(self._policies, key.object_name, value, to.policies)
        return batch

    def _group(self, policies: Mapping[ObjectName, Change[Policy]], to: Timelines) -> None:
        """Each namespace's policies are a new dict where any has changed: the old one is what they were."""
        groups: dict[str, dict[str, Policy]] = {}
        for (namespace, name), change in policies.items():
            if namespace not in groups:
                groups[namespace] = dict(self._by_namespace.get(namespace, {}))
            if change.after is None:
                del groups[namespace][name]
            else:
                groups[namespace][name] = change.after
        for namespace, group in groups.items():
            _put(self._by_namespace, namespace, group or None, to.policies_by_namespace)

    def _hold(self, pods: Collection[Change[Pod]], to: Timelines) -> None:
        """Each address stands for who holds it now (X1)."""
        held = self._claims.pods_by_address
        concerned = {address for change in pods for pod in change if pod is not None for address in pod.addresses}
        former = {address: held.get(address) for address in concerned}
        self._claims.replace(pods)
        for address, pod in former.items():
            if held.get(address) is not pod:
                to.holders.replaced(address, pod)

    def _know_nodes(self, batch: _Batch, to: Timelines) -> None:
        """Each address is the node's that has it now (V9)."""
        for address, node in self._node_index.replace(batch.nodes.values(), batch.pods.values()).items():
            if self._node_index.by_address.get(address) != node:
                to.nodes_by_address.replaced(address, node)

    def _know_local(self, pods: Mapping[ObjectName, Change[Pod]], to: Timelines) -> None:
        """Each digest is of the pod of this node that log points mean by it."""
        for name, change in pods.items():
            before, after = (pod if self._is_judged(pod) else None for pod in change)
            if before is not None or after is not None:
                _put(self._local_pods, pod_digest(*name), after, to.local_pods)

    def _is_judged(self, pod: Pod | None) -> bool:
        return pod is not None and pod.node == self._node and not pod.host_network


def _put(
    objects: dict[Name, Value], name: Name, value: Value | None, timeline: Timeline[Name, Value]
) -> dict[Name, Change[Value]]:
    """The value is as given, None for gone, and the timeline has the former one; returns the change, if it is one."""
    before = objects.get(name)
    if before == value:
        return {}
    if value is None:
        del objects[name]
    else:
        objects[name] = value
    timeline.replaced(name, before)
    return {name: Change(before, value)}
