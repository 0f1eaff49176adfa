"""The events that the live agent is measured by, as a person or a controller of the cluster would cause them."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

from bench.live_world import BARE
from bench.manifests import APPS, NODE, STAGES, TIERS

from netpol.model.objects import ISOLATION_ANNOTATION

Manifest = dict[str, Any]
Event = tuple[str, Manifest]
"""`put` or `delete`, and the object."""

DENY = '{"ingress": {"isolation": "DefaultDeny"}}'


class Events:
    """Endless events of each kind upon a cluster, whose objects they change."""

    def __init__(self, objects: list[Manifest], seed: int = 1) -> None:
        self._chance = random.Random(seed)
        self._objects = {kind: [o for o in objects if o["kind"] == kind] for kind in ("Pod", "Namespace")}
        self._policies = [o for o in objects if o["kind"] == "NetworkPolicy" and "policyTypes" in o["spec"]]
        self._remote = [o for o in self._objects["Pod"] if o["spec"]["nodeName"] != NODE]
        self._local = [o for o in self._objects["Pod"] if o["spec"]["nodeName"] == NODE]
        self._made = 0

    def kinds(self) -> dict[str, Callable[[], Iterator[Event]]]:
        """Each kind by its name: an iterator of its events."""
        return {
            "peer pod added": lambda: self._added(self._remote, "node-1", "10.0.1."),
            "peer pod relabelled": self._pods_relabelled,
            "peer pod deleted": self._peers_deleted,
            "namespace relabelled": self._namespaces_relabelled,
            "namespace annotated": self._namespaces_annotated,
            "policy added": self._policies_added,
            "policy changed": self._policies_changed,
            "policy deleted": self._policies_deleted,
            "local pod added": lambda: self._added(self._local, NODE, "10.0.0."),
        }

    def roll(self, count: int) -> list[Event]:
        """A deployment of `count` pods rolls: each goes, and one of another name and address comes."""
        events: list[Event] = []
        for old in self._remote[:count]:
            self._made += 1
            new = copy.deepcopy(old)
            new["metadata"] |= {"name": f"rolled-{self._made}", "uid": f"rolled-{self._made}"}
            address = f"10.200.{self._made // 250}.{self._made % 250 + 1}"
            new["status"] |= {"podIP": address, "podIPs": [{"ip": address}]}
            events += [("put", new), ("delete", old)]
        return events[: count * 2]

    def _added(self, models: list[Manifest], node: str, start: str) -> Iterator[Event]:
        while True:
            self._made += 1
            pod = copy.deepcopy(self._chance.choice(models))
            pod["metadata"] |= {"name": f"new-{self._made}", "uid": f"new-{self._made}"}
            pod["spec"]["nodeName"] = node
            address = f"{start}{100 + self._made % 150}"
            pod["status"] |= {"podIP": address, "podIPs": [{"ip": address}, {"ip": f"fd00:99::{self._made:x}"}]}
            yield "put", pod
            if node == NODE:
                yield "delete", pod

    def _pods_relabelled(self) -> Iterator[Event]:
        while True:
            pod = self._chance.choice(self._remote)
            labels = pod["metadata"]["labels"]
            labels["app"] = f"app-{self._chance.randrange(APPS)}"
            labels["tier"] = f"tier-{self._chance.randrange(TIERS)}"
            labels["stage"] = f"stage-{self._chance.randrange(STAGES)}"
            yield "put", pod

    def _peers_deleted(self) -> Iterator[Event]:
        while True:
            yield "delete", self._remote.pop(self._chance.randrange(len(self._remote)))

    def _namespaces_relabelled(self) -> Iterator[Event]:
        while True:
            namespace = self._chance.choice(self._objects["Namespace"])
            namespace["metadata"]["labels"] = {"team": f"t{self._chance.randrange(7)}"}
            yield "put", namespace

    def _namespaces_annotated(self) -> Iterator[Event]:
        namespace = next(each for each in self._objects["Namespace"] if each["metadata"]["name"] == BARE)
        while True:
            namespace["metadata"]["annotations"] = {ISOLATION_ANNOTATION: DENY}
            yield "put", namespace
            del namespace["metadata"]["annotations"]
            yield "put", namespace

    def _policies_added(self) -> Iterator[Event]:
        while True:
            self._made += 1
            policy = copy.deepcopy(self._chance.choice(self._policies))
            policy["metadata"] |= {"name": f"new-{self._made}", "uid": f"new-{self._made}"}
            policy["spec"]["podSelector"] = {"matchLabels": {"app": f"app-{self._chance.randrange(APPS)}"}}
            self._policies.append(policy)
            yield "put", policy

    def _policies_changed(self) -> Iterator[Event]:
        while True:
            policy = self._chance.choice(self._policies)
            policy["spec"]["ingress"][0]["ports"] = [{"port": 8000 + self._chance.randrange(APPS), "protocol": "TCP"}]
            yield "put", policy

    def _policies_deleted(self) -> Iterator[Event]:
        while True:
            yield "delete", self._policies.pop(self._chance.randrange(len(self._policies)))
