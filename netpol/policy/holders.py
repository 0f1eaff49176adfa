"""Which pod each address stands for, and those pods by what selectors ask; kept while pods come, change and go."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from netpol.model.change import Change
from netpol.model.labels import Selector
from netpol.model.networks import Address, Family, family_of
from netpol.model.objects import Pod
from netpol.model.ports import NamedPort
from netpol.model.snapshot import ObjectName
from netpol.policy.claims import Claims
from netpol.policy.selector_index import first_choice


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


Name = TypeVar("Name")
Group = TypeVar("Group")


class HolderIndex:
    """The holders of a cluster, by address, namespace, label, port name and node."""

    def __init__(self) -> None:
        self._claims = Claims()
        self._by_namespace: dict[str, dict[str, Holder]] = {}
        self._by_label: dict[tuple[str, str, str], dict[str, Holder]] = {}
        self._by_port: dict[NamedPort, dict[ObjectName, Holder]] = {}
        self._by_node: dict[str, dict[ObjectName, Holder]] = {}

    # --- questions

    @property
    def pods_by_address(self) -> Mapping[Address, Pod]:
        """The pod each address stands for (X1)."""
        return self._claims.pods_by_address

    def all(self) -> Iterator[Holder]:
        """Every holder."""
        return (holder for namespace in self._by_namespace.values() for holder in namespace.values())

    def on_node(self, node: str) -> Collection[Holder]:
        """The holders on this node."""
        return self._by_node.get(node, {}).values()

    def matching(self, namespace: str, selector: Selector) -> Iterator[Holder]:
        """The holders of the namespace that the selector matches."""
        for holder in self._candidates(namespace, selector):
            if selector.matches(holder.pod.labels):
                yield holder

    def naming(self, port: NamedPort) -> Collection[Holder]:
        """The holders whose pods give this port a number (V7)."""
        return self._by_port.get(port, {}).values()

    def _candidates(self, namespace: str, selector: Selector) -> Iterable[Holder]:
        labels = first_choice(selector)
        if not labels:
            return self._by_namespace.get(namespace, {}).values()
        return (holder for label in labels for holder in self._by_label.get((namespace, *label), {}).values())

    # --- changes

    def replace(self, changes: Iterable[Change[Pod]]) -> list[Change[Holder]]:
        """The changes are made; returns what that moved, each pod once.

        A pod that has not changed has moved too where it won or lost an address (X1).
        """
        concerned = self._claims.replace(changes)
        moves = [move for name, pod in concerned.items() if (move := self._move(name, pod)) is not None]
        for move in moves:
            if move.before is not None:
                self._remove(move.before)
            if move.after is not None:
                self._add(move.after)
        return moves

    def _move(self, name: ObjectName, pod: Pod | None) -> Change[Holder] | None:
        """What the pod's claims have come to, against what is indexed; None where that is the same."""
        namespace, own = name
        before = self._by_namespace.get(namespace, {}).get(own)
        addresses: tuple[Address, ...] = ()
        if pod is not None:
            addresses = tuple(each for each in pod.addresses if self.pods_by_address.get(each) is pod)
        if before is None and not addresses:
            return None
        if before is not None and before.pod is pod and before.addresses == addresses:
            return None
        return Change(before, Holder.of(pod, addresses) if pod is not None and addresses else None)

    def _add(self, holder: Holder) -> None:
        pod = holder.pod
        name = _name(pod)
        self._by_namespace.setdefault(pod.namespace, {})[pod.name] = holder
        self._by_node.setdefault(pod.node, {})[name] = holder
        for key, value in pod.labels.items():
            self._by_label.setdefault((pod.namespace, key, value), {})[pod.name] = holder
        for port in _ports(pod):
            self._by_port.setdefault(port, {})[name] = holder

    def _remove(self, holder: Holder) -> None:
        pod = holder.pod
        name = _name(pod)
        _forget(self._by_namespace, pod.namespace, pod.name)
        _forget(self._by_node, pod.node, name)
        for key, value in pod.labels.items():
            _forget(self._by_label, (pod.namespace, key, value), pod.name)
        for port in _ports(pod):
            _forget(self._by_port, port, name)


def _forget(groups: dict[Group, dict[Name, Holder]], group: Group, name: Name) -> None:
    """The group has no such member; a group without members is none."""
    members = groups[group]
    del members[name]
    if not members:
        del groups[group]


def _name(pod: Pod) -> ObjectName:
    return pod.namespace, pod.name


def _ports(pod: Pod) -> set[NamedPort]:
    """The ports the pod gives numbers, each once, however many it gives."""
    return {NamedPort(port.protocol, port.name) for port in pod.ports}
