"""Pods out of the templates of workloads, as their controllers would make them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from netpol.demo.raw import at, name_of, sequence, text
from netpol.source.fields import Fields

MOST_REPLICAS = 2

_FIRST_ORDINALS = {"Deployment": 1, "ReplicaSet": 1, "ReplicationController": 1, "StatefulSet": 0}
DAEMON_SET = "DaemonSet"


@dataclass(frozen=True, slots=True)
class MadePods:
    """The pods that one workload gets, and the words for it."""

    workload: str
    pods: tuple[Fields, ...]


def pods_of_workloads(objects: Sequence[Fields], nodes: Sequence[str]) -> list[MadePods]:
    """At most two pods of every workload that has none among `objects`; of a DaemonSet one on each node.

    A workload that another one owns is left to its owner.
    """
    pods = [fields for fields in objects if text(fields, "kind") == "Pod"]
    return [
        MadePods(f"{text(fields, 'kind')} {'/'.join(name_of(fields))}", made)
        for fields in objects
        if _is_workload(fields) and not _owned(fields) and not _has_pods(fields, pods)
        for made in [tuple(_pods_of(fields, nodes))]
        if made
    ]


def _is_workload(fields: Fields) -> bool:
    return text(fields, "kind") in {*_FIRST_ORDINALS, DAEMON_SET} and bool(at(fields, "spec", "template"))


def _owned(fields: Fields) -> bool:
    return bool(sequence(at(fields, "metadata"), "ownerReferences"))


def _has_pods(workload: Fields, pods: Iterable[Fields]) -> bool:
    """True where a pod of the workload's namespace has all the labels of its template."""
    namespace, _ = name_of(workload)
    wanted = at(workload, "spec", "template", "metadata", "labels").items()
    return any(name_of(pod)[0] == namespace and wanted <= at(pod, "metadata", "labels").items() for pod in pods)


def _pods_of(workload: Fields, nodes: Sequence[str]) -> Iterator[Fields]:
    namespace, name = name_of(workload)
    template = at(workload, "spec", "template")
    labels = at(template, "metadata", "labels")
    for suffix, node in _places(workload, nodes):
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"{name}-{suffix}", "namespace": namespace, "labels": labels},
            "spec": {**at(template, "spec"), **({"nodeName": node} if node else {})},
        }


def _places(workload: Fields, nodes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The end of each pod's name, and its node where the workload says which."""
    kind = text(workload, "kind")
    if kind == DAEMON_SET:
        yield from ((node, node) for node in nodes)
        return
    replicas = at(workload, "spec").get("replicas", 1)
    count = min(replicas, MOST_REPLICAS) if isinstance(replicas, int) else 1
    first = _FIRST_ORDINALS[kind]
    yield from ((str(number), "") for number in range(first, first + count))
