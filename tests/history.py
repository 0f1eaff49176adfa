"""A chronicle that is told of one snapshot after the other."""

from __future__ import annotations

from builders import world

from netpol.audit.history.chronicle import Chronicle
from netpol.audit.history.world import World
from netpol.model.facts import Fact, Key, Kind
from netpol.model.moments import SECOND, Moment
from netpol.model.objects import Namespace, Node, Pod
from netpol.model.policies import Policy
from netpol.model.snapshot import Snapshot
from netpol.settings import NodeOptions

NODE = "n1"
BEGAN: Moment = 1_700_000_000 * SECOND


def facts(before: Snapshot, after: Snapshot) -> list[Fact]:
    """What makes one snapshot of the other, of all kinds; what is alike is said too, and means nothing."""
    namespaces, nodes = before.namespaces.keys() | after.namespaces.keys(), before.nodes.keys() | after.nodes.keys()
    pods, policies = before.pods.keys() | after.pods.keys(), before.policies.keys() | after.policies.keys()
    return [
        *(Fact(Key(Kind.NAMESPACE, "", name), after.namespaces.get(name)) for name in namespaces),
        *(Fact(Key(Kind.NODE, "", name), after.nodes.get(name)) for name in nodes),
        *(Fact(Key(Kind.POD, *name), after.pods.get(name)) for name in pods),
        *(Fact(Key(Kind.NETWORK_POLICY, *name), after.policies.get(name)) for name in policies),
    ]


class Told:
    """A chronicle of node `NODE` that is certain of these objects since `BEGAN`, and of what becomes of them.

    The kernel may have held the first of them for `took` seconds by then.
    """

    def __init__(
        self, *objects: Namespace | Pod | Node | Policy, options: NodeOptions | None = None, took: float = 0
    ) -> None:
        self.chronicle = Chronicle(options or NodeOptions(NODE))
        self.now = BEGAN
        self._snapshot = Snapshot.of()
        self.becomes(*objects, took=took)

    def becomes(self, *objects: Namespace | Pod | Node | Policy, seconds: float = 0, took: float = 0) -> None:
        """So long after the beginning the kernel held this cluster; bringing it there took so long."""
        self.now, snapshot = BEGAN + int(seconds * SECOND), world(*objects)
        self.chronicle.follow(facts(self._snapshot, snapshot), self.now - int(took * SECOND), self.now)
        self._snapshot = snapshot

    def at(self, seconds: float) -> World:
        """The cluster so long after the beginning."""
        return self.chronicle.at(BEGAN + int(seconds * SECOND))
