"""Who asks in a cluster: its pods, its node and the world outside, by sockets of the test's own in their networks.

That takes a thousandth of what a command in the pod does, and a connection can be held open.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from builders import address
from testbed.live_cluster import LiveCluster
from testbed.node import OUTSIDE
from testbed.node_files import NODE_V4, NODE_V6, OUTSIDE_V4, OUTSIDE_V6
from testbed.workloads import LivePod
from vm.conversation import PATIENCE_SECONDS, Conversation, answering, ask
from vm.dialects import netexec
from vm.servers import Reply

from netpol.lab.namespace import FIRST_SOURCE_PORT, Namespace
from netpol.lab.prober import Outcome
from netpol.lab.topology import Endpoint, of_family
from netpol.model.networks import Address, family_of
from netpol.model.ports import Protocol


class FoundNamespace(Namespace):
    """A network namespace that somebody else made, at this place in the file system."""

    def __init__(self, name: str, place: Path) -> None:
        self.name = name
        self._descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        self._source_port = FIRST_SOURCE_PORT


@dataclass(frozen=True, slots=True)
class Caller:
    """One who asks at an address of a pod, a service or the node; the tests' pods serve with `agnhost netexec`."""

    namespace: Namespace
    addresses: tuple[Address, ...]

    def ask(
        self, at: str, port: int = 80, protocol: Protocol = Protocol.TCP, *, seconds: float = PATIENCE_SECONDS
    ) -> Reply | Outcome:
        """The name of the pod that answered and the address that it saw, or why none did; on a new connection."""
        return ask(self._towards(at), address(at), port, protocol, dialect=netexec, seconds=seconds)

    def answering(self, at: str, port: int = 80, protocol: Protocol = Protocol.TCP, *, times: int) -> Counter[str]:
        """How often each pod answered, so many new connections after one another; all must be answered."""
        return answering(self._towards(at), address(at), port, protocol, times=times, dialect=netexec)

    def hold(self, at: str, port: int = 80, protocol: Protocol = Protocol.TCP) -> Conversation:
        """A connection that stays open inside the `with`."""
        return Conversation(self._towards(at), address(at), port, protocol, dialect=netexec)

    def _towards(self, at: str) -> Endpoint:
        own = of_family(self.addresses, family_of(address(at)))
        assert own is not None, f"{self.namespace.name} has no address to reach {at} from"
        return Endpoint(self.namespace.name, self.namespace, own)


class Callers:
    """All who can ask in this cluster."""

    def __init__(self, cluster: LiveCluster, until_over: ExitStack) -> None:
        self._cluster = cluster
        self._until_over = until_over

    def pod(self, pod: LivePod) -> Caller:
        """The pod, which has a network of its own."""
        uid = pod.cluster.kubectl("-n", pod.namespace, "get", "pod", pod.name, "-o", "jsonpath={.metadata.uid}")
        return self._caller(str(pod), Path("/proc", _process_of(uid), "ns/net"), *pod.addresses)

    def node(self) -> Caller:
        """A process on the node."""
        return self._caller("node", Path("/proc", str(self._cluster.pid), "ns/net"), NODE_V4, NODE_V6)

    def outside(self) -> Caller:
        """The host at the other end of the node's uplink, which sends it all that is meant for others."""
        place = Path("/proc", str(self._cluster.pid), "root/run/netns", OUTSIDE)
        return self._caller("outside", place, OUTSIDE_V4, OUTSIDE_V6)

    def _caller(self, name: str, place: Path, *addresses: str) -> Caller:
        namespace = self._until_over.enter_context(FoundNamespace(name, place))
        return Caller(namespace, tuple(map(address, addresses)))


@contextmanager
def callers_in(cluster: LiveCluster) -> Iterator[Callers]:
    """All who can ask in the cluster, inside the `with`."""
    with ExitStack() as until_over:
        yield Callers(cluster, until_over)


def _process_of(pod_uid: str) -> str:
    """The id of a process in the pod, which its control group tells."""
    for group in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            groups = group.read_text()
        except ProcessLookupError:
            continue
        if f"/pod{pod_uid}/" in groups:
            return group.parent.name
    raise AssertionError(f"no process runs in pod {pod_uid}")
