"""The state of a cluster at one moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from netpol.model.networks import Address
from netpol.model.objects import Namespace, Node, Pod
from netpol.model.policies import Policy
from netpol.model.services import EndpointSlice, Service

ObjectName = tuple[str, str]
"""Namespace and name of an object."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every object that anything here depends on, by name; services are there where a proxy runs."""

    namespaces: Mapping[str, Namespace]
    pods: Mapping[ObjectName, Pod]
    nodes: Mapping[str, Node]
    policies: Mapping[ObjectName, Policy]
    services: Mapping[ObjectName, Service] = field(default_factory=dict)
    endpoint_slices: Mapping[ObjectName, EndpointSlice] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        namespaces: Iterable[Namespace] = (),
        pods: Iterable[Pod] = (),
        nodes: Iterable[Node] = (),
        policies: Iterable[Policy] = (),
        services: Iterable[Service] = (),
        endpoint_slices: Iterable[EndpointSlice] = (),
    ) -> Snapshot:
        """The snapshot that holds these objects."""
        return cls(
            {namespace.name: namespace for namespace in namespaces},
            {(pod.namespace, pod.name): pod for pod in pods},
            {node.name: node for node in nodes},
            {(policy.namespace, policy.name): policy for policy in policies},
            {(service.namespace, service.name): service for service in services},
            {(each.namespace, each.name): each for each in endpoint_slices},
        )


def holders(pods: Iterable[Pod]) -> dict[Address, Pod]:
    """The pod that each address stands for: the newest actionable one that has it (X1).

    Pods of equal age are told apart by namespace and name, so that every node agrees.
    """
    found: dict[Address, Pod] = {}
    for pod in pods:
        if not pod.actionable:
            continue
        for address in pod.addresses:
            other = found.get(address)
            if other is None or _age(pod) > _age(other):
                found[address] = pod
    return found


def _age(pod: Pod) -> tuple[str, str, str]:
    return pod.created, pod.namespace, pod.name
