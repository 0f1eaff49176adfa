"""Who made an object: its controller, as people know it."""

from __future__ import annotations

from collections.abc import Mapping

from netpol.source.fields import Fields

_TEMPLATE_HASH_LABEL = "pod-template-hash"
_NO_WORKLOADS = frozenset({"Node"})
"""Kinds that control pods and make none alike: a static pod's mirror is controlled by its node."""


def workload_of(metadata: Fields, labels: Mapping[str, str]) -> str:
    """The controller that owns a pod, as `Kind/name`; "" where none is stated, or not in the API's shape.

    A ReplicaSet that a Deployment made has the hash of its pods' template behind the Deployment's name.

    >>> owner = {"kind": "ReplicaSet", "name": "web-5d4f", "controller": True}
    >>> workload_of({"ownerReferences": [owner]}, {"pod-template-hash": "5d4f"})
    'Deployment/web'
    """
    owners = metadata.get("ownerReferences")
    for owner in owners if isinstance(owners, list) else ():
        if isinstance(owner, dict) and owner.get("controller") is True:
            return _workload(owner.get("kind"), owner.get("name"), labels.get(_TEMPLATE_HASH_LABEL))
    return ""


def _workload(kind: object, name: object, template_hash: str | None) -> str:
    if not (isinstance(kind, str) and isinstance(name, str) and kind and name) or kind in _NO_WORKLOADS:
        return ""
    if kind == "ReplicaSet" and template_hash:
        deployment = name.removesuffix(f"-{template_hash}")
        if deployment and deployment != name:
            return f"Deployment/{deployment}"
    return f"{kind}/{name}"
