"""Which pods a selector means and which policies a pod is under, found without walking the cluster."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from netpol.model.change import Change
from netpol.model.labels import Selector
from netpol.model.networks import Address
from netpol.model.objects import Namespace, Pod
from netpol.model.policies import Direction, PodPeer, Policy, Semantics
from netpol.model.ports import NamedPort
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import Extent, Treatment
from netpol.policy.holders import Holder, HolderIndex
from netpol.policy.selector_index import SelectorIndex


@dataclass(frozen=True, slots=True)
class Standing:
    """What a pod is under: the directions it is isolated for, and the policies that apply to it."""

    isolated: frozenset[Direction]
    policies: tuple[Policy, ...]


class Resolver:
    """Answers about a snapshot, from indexes of its pods and policies.

    Whoever changes the snapshot's pods or policies tells it; namespaces are looked up where they are.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._namespaces = snapshot.namespaces
        self._holders = HolderIndex()
        self._policies: dict[str, dict[str, Policy]] = {}
        self._selecting: dict[str, SelectorIndex[str]] = {}
        self.replace_pods(Change(None, pod) for pod in snapshot.pods.values())
        for policy in snapshot.policies.values():
            self.replace_policy(Change(None, policy))

    # --- changes

    def replace_pods(self, changes: Iterable[Change[Pod]]) -> list[Change[Holder]]:
        """The pods are as the changes leave them; returns which holders that moved (`HolderIndex.replace`)."""
        return self._holders.replace(changes)

    def replace_policy(self, change: Change[Policy]) -> None:
        """The policy is as the change leaves it."""
        before, after = change
        if before is not None:
            selecting, policies = self._selecting[before.namespace], self._policies[before.namespace]
            selecting.remove(before.pods, before.name)
            del policies[before.name]
            if not policies:
                del self._selecting[before.namespace], self._policies[before.namespace]
        if after is not None:
            self._policies.setdefault(after.namespace, {})[after.name] = after
            self._selecting.setdefault(after.namespace, SelectorIndex()).add(after.pods, after.name)

    # --- questions

    @property
    def pods_by_address(self) -> Mapping[Address, Pod]:
        """The pod each address stands for (X1)."""
        return self._holders.pods_by_address

    @property
    def policies_by_namespace(self) -> Mapping[str, Mapping[str, Policy]]:
        """The policies of each namespace that has any, by name."""
        return self._policies

    def on_node(self, node: str) -> tuple[Holder, ...]:
        """The holders on this node, by namespace and name."""
        found = self._holders.on_node(node)
        return tuple(sorted(found, key=lambda holder: (holder.pod.namespace, holder.pod.name)))

    def holders(self) -> Iterator[Holder]:
        """Every holder of the cluster."""
        return self._holders.all()

    def standing(self, pod: Pod, extent: Extent = Extent.ENFORCED) -> Standing:
        """The pod's isolation and its policies, by name, of those that are looked at (V1, M4, B3, B12, X16)."""
        namespace = self._namespace_of(pod)
        annotated = namespace.default_deny and extent.includes(namespace.enforcement)
        policies = tuple(
            policy
            for policy in self._selecting_policies(pod)
            if extent.includes(policy.enforcement, namespace.enforcement)
            and (annotated or policy.semantics is Semantics.V1)
        )
        isolated = {direction for policy in policies for direction in policy.directions}
        return Standing(frozenset(isolated | {Direction.INGRESS} if annotated else isolated), policies)

    def treatment(self, pod: Pod, default: Treatment) -> Treatment:
        """How verdicts on the pod are treated, where `default` is how the node treats them (X17)."""
        return self._namespace_of(pod).treatment(default)

    def _namespace_of(self, pod: Pod) -> Namespace:
        """Where it is not known, one without any annotation; its policies still count (X2)."""
        return self._namespaces.get(pod.namespace) or Namespace(pod.namespace)

    def _selecting_policies(self, pod: Pod) -> Iterator[Policy]:
        selecting = self._selecting.get(pod.namespace)
        if selecting is not None:
            policies = self._policies[pod.namespace]
            yield from (policies[name] for name in sorted(selecting.matching(pod.labels)))

    def select(self, peer: PodPeer) -> Iterator[Holder]:
        """The holders whose pods `peer` means (B11, V4)."""
        for namespace in self._selected_namespaces(peer):
            yield from self._holders.matching(namespace, peer.pods)

    def matching(self, namespace: str, selector: Selector) -> Iterator[Holder]:
        """The holders of the namespace whose pods the selector matches."""
        return self._holders.matching(namespace, selector)

    def naming(self, port: NamedPort) -> Collection[Holder]:
        """The holders whose pods give this port a number, also those whose namespace is not known (V7)."""
        return self._holders.naming(port)

    def _selected_namespaces(self, peer: PodPeer) -> Iterable[str]:
        if peer.namespace_selector is None:
            return () if peer.namespace is None else (peer.namespace,)
        selector = peer.namespace_selector
        return (name for name, namespace in self._namespaces.items() if selector.matches(namespace.labels))
