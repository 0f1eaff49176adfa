"""Writes a snapshot as the manifests that say the same, in the shape the API has them.

Beta policies become `extensions/v1beta1` objects, v1 policies `networking.k8s.io/v1`. A
list that matches nothing is written as it has to be in each: empty under the annotation
(B7), and in v1, where an empty list matches everything (V3), with one entry that says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from netpol.model.labels import EVERYTHING, Operator, Selector
from netpol.model.networks import IPBlock
from netpol.model.objects import ISOLATION_ANNOTATION, ContainerPort, Namespace, Node, Pod
from netpol.model.policies import Direction, Peer, Policy, PolicyRule, Semantics
from netpol.model.ports import ALL_PORTS, NamedPort, PortEntry
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import AUDIT_ANNOTATION, DENY_ACTION_ANNOTATION, ENFORCEMENT_ANNOTATION, Enforcement

Manifest = dict[str, Any]


def manifests(snapshot: Snapshot) -> list[Manifest]:
    """Every object of the snapshot."""
    return [
        *map(_namespace, snapshot.namespaces.values()),
        *map(_node, snapshot.nodes.values()),
        *map(_pod, snapshot.pods.values()),
        *map(_policy, snapshot.policies.values()),
    ]


def _namespace(namespace: Namespace) -> Manifest:
    metadata: Manifest = {"name": namespace.name, "labels": dict(namespace.labels)}
    annotations: Manifest = dict(_enforcement(namespace.enforcement))
    if namespace.default_deny:
        annotations[ISOLATION_ANNOTATION] = json.dumps({"ingress": {"isolation": "DefaultDeny"}})
    if namespace.audit is not None:
        annotations[AUDIT_ANNOTATION] = namespace.audit.value
    if namespace.deny_action is not None:
        annotations[DENY_ACTION_ANNOTATION] = namespace.deny_action.value
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _enforcement(enforcement: Enforcement) -> Iterator[tuple[str, str]]:
    """The annotation that says so; none where that means the same."""
    if enforcement is not Enforcement.ENFORCE:
        yield ENFORCEMENT_ANNOTATION, enforcement.value


def _node(node: Node) -> Manifest:
    ranges = [str(cidr) for cidr in node.pod_cidrs]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name},
        "spec": {"podCIDR": ranges[0], "podCIDRs": ranges} if ranges else {},
        "status": {"addresses": [{"type": "InternalIP", "address": str(each)} for each in node.addresses]},
    }


def _pod(pod: Pod) -> Manifest:
    metadata: Manifest = {"namespace": pod.namespace, "name": pod.name, "uid": pod.uid, "labels": dict(pod.labels)}
    if pod.created:
        metadata["creationTimestamp"] = pod.created
    if pod.workload:
        metadata["ownerReferences"] = [_owner(pod.workload)]
    spec: Manifest = {"containers": [{"name": "main", "ports": [_container_port(each) for each in pod.ports]}]}
    if pod.node:
        spec["nodeName"] = pod.node
    if pod.host_network:
        spec["hostNetwork"] = True
    status: Manifest = {"phase": "Succeeded" if pod.finished else "Running"}
    if pod.addresses:
        status["podIP"] = str(pod.addresses[0])
        status["podIPs"] = [{"ip": str(each)} for each in pod.addresses]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def _owner(workload: str) -> Manifest:
    """The controller; a Deployment's pods would be a ReplicaSet's, which only their labels tell."""
    kind, _, name = workload.partition("/")
    return {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": f"uid-of-{name}", "controller": True}


def _container_port(port: ContainerPort) -> Manifest:
    return {"name": port.name, "containerPort": port.number, "protocol": port.protocol.value}


def _policy(policy: Policy) -> Manifest:
    annotated = policy.semantics is Semantics.ANNOTATION
    spec: Manifest = {
        "podSelector": _selector(policy.pods),
        "ingress": [_rule(rule, "from", policy.semantics) for rule in policy.ingress],
    }
    if policy.egress:
        spec["egress"] = [_rule(rule, "to", policy.semantics) for rule in policy.egress]
    if not annotated and policy.directions != _default_directions(policy):
        spec["policyTypes"] = sorted(direction.value.title() for direction in policy.directions)
    metadata: Manifest = {"namespace": policy.namespace, "name": policy.name, "uid": policy.uid}
    if annotations := dict(_enforcement(policy.enforcement)):
        metadata["annotations"] = annotations
    return {
        "apiVersion": "extensions/v1beta1" if annotated else "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata | ({"generation": policy.generation} if policy.generation else {}),
        "spec": spec,
    }


def _default_directions(policy: Policy) -> frozenset[Direction]:
    """What an absent policyTypes means (V2)."""
    return frozenset(Direction) if policy.egress else frozenset({Direction.INGRESS})


def _rule(rule: PolicyRule, peers_key: str, semantics: Semantics) -> Manifest:
    nothing: list[Manifest] = [] if semantics is Semantics.ANNOTATION else [{}]
    no_port: list[Manifest] = [] if semantics is Semantics.ANNOTATION else [{"protocol": "ICMP"}]
    written: Manifest = {}
    if rule.peers is not None:
        written[peers_key] = [_peer(peer) for peer in rule.peers] or nothing
    if rule.ports is not None:
        written["ports"] = [_port(entry) for entry in rule.ports] or no_port
    return written


def _peer(peer: Peer) -> Manifest:
    if isinstance(peer, IPBlock):
        holes = sorted(map(str, peer.excepts))
        return {"ipBlock": {"cidr": str(peer.network)} | ({"except": holes} if holes else {})}
    if peer.namespace_selector is None:
        return {"podSelector": _selector(peer.pods)}
    pods = {} if peer.pods == EVERYTHING else {"podSelector": _selector(peer.pods)}
    return {"namespaceSelector": _selector(peer.namespace_selector), **pods}


def _port(entry: PortEntry) -> Manifest:
    written: Manifest = {"protocol": entry.protocol.value}
    if isinstance(entry, NamedPort):
        return written | {"port": entry.name}
    if entry.ports == ALL_PORTS:
        return written
    end = {} if entry.ports.first == entry.ports.last else {"endPort": entry.ports.last}
    return written | {"port": entry.ports.first} | end


def _selector(selector: Selector) -> Manifest:
    """The selector; the first requirement of a key that `matchLabels` can state is stated there."""
    labels: dict[str, str] = {}
    expressions: list[Manifest] = []
    for requirement in selector.requirements:
        if requirement.operator is Operator.IN and len(requirement.values) == 1 and requirement.key not in labels:
            labels[requirement.key] = next(iter(requirement.values))
        else:
            values = {"values": sorted(requirement.values)} if requirement.values else {}
            expressions.append({"key": requirement.key, "operator": requirement.operator.value, **values})
    return dict(_present({"matchLabels": labels, "matchExpressions": expressions}))


def _present(fields: Manifest) -> Iterator[tuple[str, Any]]:
    """The fields that hold anything."""
    return ((key, value) for key, value in fields.items() if value)
