"""What the oracle looks up in a snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from netpol.model.networks import Address
from netpol.model.objects import Node, Pod
from netpol.model.policies import Policy
from netpol.model.snapshot import ObjectName, Snapshot, holders


@dataclass(frozen=True, slots=True)
class Lookups:
    """Who has an address, and which policies a namespace has, by name.

    They are made of a whole snapshot at once, or kept by somebody who follows its changes.
    """

    pods_by_address: Mapping[Address, Pod]
    """The newest actionable pod that holds the address (X1)."""
    nodes_by_address: Mapping[Address, Node]
    """The node that has the address, the first by name of several; as `known_node` tells it."""
    policies_by_namespace: Mapping[str, Mapping[str, Policy]]

    @classmethod
    def of(cls, snapshot: Snapshot) -> Self:
        """Those of the snapshot."""
        policies: dict[str, dict[str, Policy]] = {}
        for policy in snapshot.policies.values():
            policies.setdefault(policy.namespace, {})[policy.name] = policy
        nodes = sorted(known_nodes(snapshot).values(), key=lambda node: node.name, reverse=True)
        by_address = {address: node for node in nodes for address in node.addresses}
        return cls(holders(snapshot.pods.values()), by_address, policies)


def known_nodes(snapshot: Snapshot) -> dict[str, Node]:
    """Every node by name, with what pods say of it: that it exists, and which addresses host networking has."""
    pods: dict[str, dict[ObjectName, Pod]] = {name: {} for name in snapshot.nodes}
    for name, pod in snapshot.pods.items():
        if pod.node:
            pods.setdefault(pod.node, {})[name] = pod
    return {name: known_node(name, snapshot.nodes.get(name), own.values()) for name, own in pods.items()}


def known_node(name: str, stated: Node | None, pods: Iterable[Pod]) -> Node:
    """The node with the addresses it states, then those its hostNetwork pods tell of (V9), by their names."""
    addresses = dict.fromkeys(() if stated is None else stated.addresses)
    for pod in sorted(filter(tells_of_its_node, pods), key=str):
        addresses.update(dict.fromkeys(pod.addresses))
    return Node(name, tuple(addresses), () if stated is None else stated.pod_cidrs)


def tells_of_its_node(pod: Pod) -> bool:
    """True where the pod's addresses are its node's."""
    return bool(pod.node) and pod.host_network and not pod.finished
