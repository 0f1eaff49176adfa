"""A person's manifests made complete enough to be carried out: every pod has a node and an address."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

from netpol.demo.addressing import free_addresses, spare_ranges
from netpol.demo.raw import at, name_of, read_objects, text
from netpol.demo.workloads import pods_of_workloads
from netpol.errors import NetpolError
from netpol.listing import listed
from netpol.model.networks import Address, Network
from netpol.model.objects import Node, Pod
from netpol.model.snapshot import Snapshot
from netpol.source.fields import Fields

MADE_UP_NODE = "node-1"
POLICIES = "Policy"
"""How the kinds of policies end, those included that are only warned of."""
MOST_NAMES = 4


@dataclass(frozen=True, slots=True)
class Completed:
    """Objects that can be carried out, and what had to be added to them, in sentences."""

    objects: tuple[Fields, ...]
    additions: tuple[str, ...]

    def write(self, path: Path) -> None:
        """`path` holds the objects as one list."""
        as_list = {"apiVersion": "v1", "kind": "List", "items": self.objects}
        path.write_text(json.dumps(as_list, default=dict), encoding="utf-8")


def complete(path: Path, snapshot: Snapshot) -> Completed:
    """The manifests at `path`, of which `snapshot` was loaded, with what they lack."""
    return _Completion(read_objects(path), snapshot).run()


class _Completion:
    """One completion: nodes first, then pods out of templates, then a node and addresses for each pod."""

    def __init__(self, objects: list[Fields], snapshot: Snapshot) -> None:
        self._given = objects
        self._snapshot = snapshot
        self._additions: list[str] = []
        self._nodes = self._known_nodes()
        self._taken = {address for pod in snapshot.pods.values() for address in pod.addresses}
        ranges = {network for node in self._nodes.values() for network in node.pod_cidrs}
        self._spare = spare_ranges(self._taken | ranges)
        self._turn = cycle(list(self._nodes))
        self._sources: dict[Network, Iterator[Address]] = {}

    def run(self) -> Completed:
        made = pods_of_workloads(self._given, list(self._nodes))
        for workload in made:
            names = listed(("/".join(name_of(pod)) for pod in workload.pods), MOST_NAMES)
            self._additions.append(f"{workload.workload} has no pods here: {names} made from its template")
        pods = [self._completed(fields) for fields in self._given if text(fields, "kind") == "Pod"]
        pods += [self._completed(fields) for workload in made for fields in workload.pods]
        others = [fields for fields in self._given if _concerns_policies(text(fields, "kind"))]
        return Completed((*others, *self._node_objects(), *pods), tuple(self._additions))

    def _known_nodes(self) -> dict[str, Node]:
        nodes = dict(self._snapshot.nodes)
        named = sorted({pod.node for pod in self._snapshot.pods.values() if pod.node and not pod.finished})
        unknown = [name for name in named if name not in nodes]
        if unknown:
            self._additions.append(f"nodes made for the pods that run on them: {listed(unknown, MOST_NAMES)}")
        if not nodes and not unknown:
            unknown = [MADE_UP_NODE]
            self._additions.append(f"no node is known: all pods run on one called {MADE_UP_NODE}")
        return nodes | {name: Node(name) for name in unknown}

    def _completed(self, fields: Fields) -> Fields:
        """The pod with a node, a phase and addresses."""
        pod = self._snapshot.pods.get(name_of(fields)) or _bare(fields)
        if pod.finished:
            return fields
        status = {"phase": "Running", **at(fields, "status")}
        if not pod.node:
            pod = replace(pod, node=self._node_of(pod))
        if not pod.addresses and not pod.host_network:
            addresses = [str(address) for address in self._addresses(pod.node)]
            status |= {"podIP": addresses[0], "podIPs": [{"ip": address} for address in addresses]}
        return {**fields, "spec": {**at(fields, "spec"), "nodeName": pod.node}, "status": status}

    def _node_of(self, pod: Pod) -> str:
        """The node in whose pod range the pod is, else the next one."""
        for address in pod.addresses:
            for name, node in self._nodes.items():
                if any(address in network for network in node.pod_cidrs):
                    return name
        return next(self._turn)

    def _addresses(self, name: str) -> list[Address]:
        node = self._nodes[name]
        if not node.pod_cidrs:
            node = self._nodes[name] = replace(node, pod_cidrs=next(self._spare))
            self._additions.append(
                f"node {name} has no pod range: its pods are in {listed(node.pod_cidrs, MOST_NAMES)}"
            )
        found = []
        for network in {network.version: network for network in reversed(node.pod_cidrs)}.values():
            source = self._sources.setdefault(network, free_addresses(network, self._taken))
            address = next(source, None)
            if address is None:
                raise NetpolError(f"node {name} has no address left in {network} for its pods")
            found.append(address)
        return sorted(found, key=lambda address: address.version)

    def _node_objects(self) -> Iterator[Fields]:
        given: Mapping[str, Fields] = {
            name_of(fields)[1]: fields for fields in self._given if text(fields, "kind") == "Node"
        }
        for name, node in self._nodes.items():
            fields = given.get(name, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
            ranges = [str(network) for network in node.pod_cidrs]
            spec = {"podCIDR": ranges[0], "podCIDRs": ranges} if ranges else {}
            yield {**fields, "spec": {**at(fields, "spec"), **spec}}


def _concerns_policies(kind: str) -> bool:
    return kind == "Namespace" or kind.endswith(POLICIES)


def _bare(fields: Fields) -> Pod:
    """What is known of a pod made from a template."""
    namespace, name = name_of(fields)
    spec = at(fields, "spec")
    return Pod(namespace, name, node=text(spec, "nodeName"), host_network=spec.get("hostNetwork") is True)
