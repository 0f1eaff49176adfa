"""Clusters of a given size, as manifests."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NODE = "node-0"
APPS, TIERS, STAGES = 20, 4, 3


@dataclass(frozen=True, slots=True)
class Size:
    """How many pods run on the measured node, how many in all, and how many policies there are."""

    local: int
    pods: int
    policies: int

    def __str__(self) -> str:
        return f"{self.local} local / {self.pods:,} pods / {self.policies:,} policies"


def write_cluster(directory: Path, size: Size) -> None:
    """Write the cluster of this size, the same at every call, as three files of manifests."""
    chance = random.Random(1)
    namespaces = max(10, size.policies // 100)
    for name, documents in (
        ("cluster.yaml", _namespaces_and_nodes(namespaces, size)),
        ("pods.yaml", _pods(chance, namespaces, size)),
        ("policies.yaml", _policies(chance, namespaces, size)),
    ):
        (directory / name).write_text("---\n".join(documents))


def _namespaces_and_nodes(namespaces: int, size: Size) -> Iterator[str]:
    for n in range(namespaces):
        yield (
            f"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ns-{n}\n  labels: {{team: t{n % 7}}}\n"
            + (
                "  annotations:\n    net.beta.kubernetes.io/network-policy: "
                '\'{"ingress": {"isolation": "DefaultDeny"}}\'\n'
                if n % 5 == 0
                else ""
            )
        )
    for n in range(1 + size.pods // size.local):
        yield (
            f"apiVersion: v1\nkind: Node\nmetadata:\n  name: node-{n}\nspec:\n  podCIDR: {_range(n)}\n"
            f"status:\n  addresses:\n  - {{type: InternalIP, address: 172.16.{n // 250}.{n % 250 + 1}}}\n"
        )


def _range(node: int) -> str:
    return f"10.{node // 256}.{node % 256}.0/24"


def _pods(chance: random.Random, namespaces: int, size: Size) -> Iterator[str]:
    for n in range(size.pods):
        node, place = divmod(n, size.local)
        v4, v6 = f"10.{node // 256}.{node % 256}.{place + 1}", f"fd00:10:{node:x}::{place + 1:x}"
        app, tier, stage = (chance.randrange(k) for k in (APPS, TIERS, STAGES))
        yield f"""apiVersion: v1
kind: Pod
metadata:
  name: app-{app}-{n}
  namespace: ns-{chance.randrange(namespaces)}
  uid: 00000000-0000-4000-8000-{n:012x}
  creationTimestamp: "2026-01-01T00:00:00Z"
  labels:
    app: app-{app}
    tier: tier-{tier}
    stage: stage-{stage}
    pod-template-hash: "{app:08x}"
spec:
  nodeName: node-{node}
  containers:
  - name: main
    image: registry.example/app-{app}:1
    ports:
    - containerPort: {8000 + app}
      name: http
      protocol: TCP
status:
  phase: Running
  podIP: {v4}
  podIPs:
  - ip: {v4}
  - ip: {v6}
"""


def _policies(chance: random.Random, namespaces: int, size: Size) -> Iterator[str]:
    for n in range(size.policies):
        beta = n % 4 == 0
        api = "extensions/v1beta1" if beta else "networking.k8s.io/v1"
        text = f"""apiVersion: {api}
kind: NetworkPolicy
metadata:
  name: policy-{n}
  namespace: ns-{n % namespaces}
spec:
  podSelector:
    matchLabels:
      app: app-{chance.randrange(APPS)}
  ingress:
  - from:
    - podSelector:
        matchLabels:
          app: app-{chance.randrange(APPS)}
          tier: tier-{chance.randrange(TIERS)}
    ports:
    - port: {8000 + chance.randrange(APPS)}
    - port: http
  - from:
    - namespaceSelector:
        matchLabels:
          team: t{chance.randrange(7)}
"""
        if not beta:
            text += f"""  egress:
  - to:
    - ipBlock:
        cidr: 10.0.0.0/8
        except: [10.{chance.randrange(1, 250)}.0.0/16]
    ports:
    - port: 443
    - port: 8000
      endPort: 8100
  policyTypes: [Ingress, Egress]
"""
        yield text
