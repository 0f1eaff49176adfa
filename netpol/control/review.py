"""A look at what policies mean together with the pods there are, now and then, for the person who wrote them (M7)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Protocol

from netpol.model.facts import Key, Kind
from netpol.model.notices import Notice
from netpol.model.objects import Pod
from netpol.model.policies import Policy
from netpol.model.snapshot import ObjectName, Snapshot
from netpol.policy.unresolved import unresolved_ports

READER = "review"


class Notices(Protocol):
    """What is used of the notice board."""

    def put(self, key: Key, uid: str, notices: tuple[Notice, ...], reader: str = "") -> None:
        """What `reader` notices of the object is this, and nothing else."""


class Review:
    """Looks for named ports that no pod resolves, in the policies that select a pod of the node.

    It takes a third of a second for 10,000 pods, hence has no place in the control thread;
    `snapshot` may change while it looks, for it looks at copies.
    """

    def __init__(self, node: str, snapshot: Snapshot, notices: Notices) -> None:
        self._node = node
        self._snapshot = snapshot
        self._notices = notices
        self._seen: Snapshot | None = None
        self._noticed: dict[ObjectName, str] = {}

    def look(self) -> None:
        """The board has what is to be noticed now."""
        world = Snapshot(dict(self._snapshot.namespaces), dict(self._snapshot.pods), {}, dict(self._snapshot.policies))
        if world == self._seen:
            return
        self._seen = world
        found: defaultdict[ObjectName, list[Notice]] = defaultdict(list)
        for notice in unresolved_ports(replace(world, policies=_concerning(self._node, world))):
            found[notice.namespace, notice.name].append(notice)
        noticed = {name: world.policies[name].uid for name in found}
        for name, uid in (self._noticed | noticed).items():
            self._notices.put(Key(Kind.NETWORK_POLICY, *name), uid, tuple(found.get(name, ())), READER)
        self._noticed = noticed


def _concerning(node: str, world: Snapshot) -> dict[ObjectName, Policy]:
    """The policies that select a pod of the node: those of other nodes' pods are told there."""
    pods: defaultdict[str, list[Pod]] = defaultdict(list)
    for pod in world.pods.values():
        if pod.node == node and pod.actionable:
            pods[pod.namespace].append(pod)
    return {
        name: policy
        for name, policy in world.policies.items()
        if any(policy.pods.matches(pod.labels) for pod in pods.get(policy.namespace, ()))
    }
