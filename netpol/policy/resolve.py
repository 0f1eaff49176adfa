"""Which pods a selector means and which policies a pod is under, found without walking the cluster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from netpol.model.labels import Operator, Selector
from netpol.model.networks import Address, Family, family_of
from netpol.model.objects import Pod
from netpol.model.policies import Direction, PodPeer, Policy, Semantics
from netpol.model.ports import NamedPort, Protocol
from netpol.model.snapshot import Snapshot, holders


@dataclass(frozen=True, slots=True)
class Holder:
    """An actionable pod with the addresses that stand for it: those no newer pod holds (X1)."""

    pod: Pod
    addresses: tuple[Address, ...]
    packed: Mapping[Family, tuple[bytes, ...]]
    """The same addresses by family, as packets carry them."""

    @classmethod
    def of(cls, pod: Pod, addresses: tuple[Address, ...]) -> Holder:
        """The holder of these addresses of the pod."""
        packed = {f: tuple(a.packed for a in addresses if family_of(a) is f) for f in Family}
        return cls(pod, addresses, packed)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a pod is under: the directions it is isolated for, and the policies that apply to it."""

    isolated: frozenset[Direction]
    policies: tuple[Policy, ...]


class Resolver:
    """Answers about one snapshot, from indexes by namespace and by label."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._namespaces = snapshot.namespaces
        self._holders: dict[str, list[Holder]] = defaultdict(list)
        self._labelled: dict[tuple[str, str, str], list[Holder]] = defaultdict(list)
        self._named: dict[tuple[str, Protocol], dict[tuple[str, str], Holder]] = defaultdict(dict)
        self._policies: dict[str, list[Policy]] = defaultdict(list)
        self._local: dict[str, list[Holder]] = defaultdict(list)
        held = holders(snapshot.pods.values())
        for pod in snapshot.pods.values():
            addresses = tuple(address for address in pod.addresses if held.get(address) is pod)
            if addresses:
                self._add(Holder.of(pod, addresses))
        for policy in snapshot.policies.values():
            self._policies[policy.namespace].append(policy)

    def _add(self, holder: Holder) -> None:
        pod = holder.pod
        self._holders[pod.namespace].append(holder)
        self._local[pod.node].append(holder)
        for key, value in pod.labels.items():
            self._labelled[pod.namespace, key, value].append(holder)
        for port in pod.ports:
            self._named[port.name, port.protocol].setdefault((pod.namespace, pod.name), holder)

    def on_node(self, node: str) -> tuple[Holder, ...]:
        """The holders on this node, by namespace and name."""
        return tuple(sorted(self._local.get(node, ()), key=lambda holder: (holder.pod.namespace, holder.pod.name)))

    def holders(self) -> tuple[Holder, ...]:
        """Every holder of the cluster."""
        return tuple(holder for namespace in self._holders.values() for holder in namespace)

    def standing(self, pod: Pod) -> Standing:
        """The pod's isolation and its policies, by name (V1, M4, B3, B12).

        A namespace that is not known has no annotation; its policies still count (X2).
        """
        namespace = self._namespaces.get(pod.namespace)
        annotated = namespace is not None and namespace.default_deny
        policies = tuple(
            sorted(
                (
                    policy
                    for policy in self._policies.get(pod.namespace, ())
                    if (annotated or policy.semantics is Semantics.V1) and policy.pods.matches(pod.labels)
                ),
                key=lambda policy: policy.name,
            )
        )
        isolated = {direction for policy in policies for direction in policy.directions}
        return Standing(frozenset(isolated | {Direction.INGRESS} if annotated else isolated), policies)

    def select(self, peer: PodPeer) -> Iterator[Holder]:
        """The holders whose pods `peer` means (B11, V4)."""
        for namespace in self._selected_namespaces(peer):
            for holder in self._candidates(namespace, peer.pods):
                if peer.pods.matches(holder.pod.labels):
                    yield holder

    def naming(self, port: NamedPort) -> Iterable[Holder]:
        """The holders whose pods give this port a number, also those whose namespace is not known (V7)."""
        return self._named.get((port.name, port.protocol), {}).values()

    def _selected_namespaces(self, peer: PodPeer) -> Iterable[str]:
        if peer.namespace_selector is None:
            return () if peer.namespace is None else (peer.namespace,)
        selector = peer.namespace_selector
        return (name for name, namespace in self._namespaces.items() if selector.matches(namespace.labels))

    def _candidates(self, namespace: str, selector: Selector) -> Iterable[Holder]:
        """The holders of the namespace that can match: those with the first label the selector names a value of."""
        for requirement in selector.requirements:
            if requirement.operator is Operator.IN:
                key, values = requirement.key, requirement.values
                return (holder for value in values for holder in self._labelled.get((namespace, key, value), ()))
        return self._holders.get(namespace, ())
