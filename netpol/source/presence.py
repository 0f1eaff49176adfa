"""Whether a source knows the node that its policies are to be carried out on."""

from __future__ import annotations

from netpol.errors import UsageError
from netpol.listing import listed
from netpol.model.snapshot import Snapshot

MOST_NODES = 5


def require_node(snapshot: Snapshot, name: str, objects: str = "the manifests") -> str:
    """What a person is to be warned of, mostly nothing; UsageError where `objects` name nodes and this is none of them.

    A mistyped name means a ruleset without pods, which opens every pod that is here. Objects
    without a Node among them cannot tell: then a node without a pod is only worth a warning.
    """
    if name in snapshot.nodes or any(pod.node == name for pod in snapshot.pods.values()):
        return ""
    if snapshot.nodes:
        known = listed(sorted(snapshot.nodes), MOST_NODES)
        raise UsageError(f"no node is named {name}; {objects} name {known} (--hostname-override)")
    return (
        f"{objects} have neither a node nor a pod of {name}, so nothing is enforced there; "
        "is --hostname-override right?"
    )
