"""The workloads of a snapshot: which pods belong together, and by which labels a policy names them."""

from __future__ import annotations

from dataclasses import dataclass

from netpol.audit.record import PodParty
from netpol.model.labels import Labels
from netpol.model.networks import Address
from netpol.model.objects import Pod
from netpol.model.snapshot import Snapshot
from netpol.policy.lookups import Lookups
from netpol.suggest.selector_choice import distinguishing_labels, lasting_labels


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """Pods of one controller; or pods without any that have the same labels, which no policy can tell apart.

    A pod counts as soon as it exists, for it will have an address; a hostNetwork pod never does (V9), nor a
    finished one (G3).
    """

    namespace: str
    name: str
    """As pods state it, `Deployment/web`; the name of the first pod where they have no controller."""
    pods: tuple[Pod, ...]

    def __str__(self) -> str:
        more = f" (and {len(self.pods) - 1} more with its labels)" if "/" not in self.name and self.pods[1:] else ""
        return f"{self.namespace}/{self.name}{more}"


@dataclass(frozen=True, slots=True)
class Member:
    """A pod that can send and receive, at one of the addresses that stand for it (X1), with its workload."""

    workload: Workload
    pod: Pod
    address: Address


class Workloads:
    """The workloads of one snapshot."""

    def __init__(self, snapshot: Snapshot, lookups: Lookups) -> None:
        """`lookups` are the snapshot's."""
        self._pods_by_address = lookups.pods_by_address
        self._by_namespace: dict[str, dict[str, Workload]] = {}
        self._workload_of: dict[tuple[str, str], Workload] = {}
        self._labels: dict[tuple[str, str], Labels | None] = {}
        for workload in _grouped(snapshot):
            self._by_namespace.setdefault(workload.namespace, {})[workload.name] = workload
            for pod in workload.pods:
                self._workload_of[pod.namespace, pod.name] = workload

    def member(self, party: PodParty) -> Member | None:
        """The very pod that the record names; None where it is gone."""
        workload = self._workload_of.get((party.namespace, party.name))
        if workload is None:
            return None
        pod = next(each for each in workload.pods if each.name == party.name)
        # Manifests need not state uids.
        is_same = party.uid == pod.uid or not party.uid or not pod.uid
        return self._reachable(workload, pod, party.ip) if is_same else None

    def successor(self, party: PodParty, other: Pod | None) -> Member | None:
        """A pod of the workload of one that is gone, of its name if possible, and never `other`; None where none is."""
        workload = self._by_namespace.get(party.namespace, {}).get(party.workload)
        if workload is None:
            return None
        by_likeness = sorted(workload.pods, key=lambda pod: pod.name != party.name)
        members = (self._reachable(workload, pod, party.ip) for pod in by_likeness if pod is not other)
        return next(filter(None, members), None)

    def _reachable(self, workload: Workload, pod: Pod, recorded: str) -> Member | None:
        """The pod at the recorded address where it still has that, else at its first; None where it has none."""
        own = [address for address in pod.addresses if self._pods_by_address.get(address) is pod]
        same = [address for address in own if str(address) == recorded]
        return Member(workload, pod, (same or own)[0]) if own else None

    def labels(self, workload: Workload) -> Labels | None:
        """The fewest labels that name the workload's pods and no others of its namespace; None where none do."""
        key = workload.namespace, workload.name
        if key not in self._labels:
            others = [each for each in self._by_namespace[workload.namespace].values() if each.name != workload.name]
            self._labels[key] = distinguishing_labels(
                [pod.labels for pod in workload.pods], [pod.labels for other in others for pod in other.pods]
            )
        return self._labels[key]

    def pods(self) -> list[Pod]:
        """The pods of all workloads."""
        return [
            pod for namespace in self._by_namespace.values() for workload in namespace.values() for pod in workload.pods
        ]


def _grouped(snapshot: Snapshot) -> list[Workload]:
    groups: dict[tuple[str, object], list[Pod]] = {}
    for _, pod in sorted(snapshot.pods.items()):
        if not (pod.host_network or pod.finished):
            together = pod.workload or frozenset(lasting_labels(pod.labels).items())
            groups.setdefault((pod.namespace, together), []).append(pod)
    return [Workload(pods[0].namespace, pods[0].workload or pods[0].name, tuple(pods)) for pods in groups.values()]
