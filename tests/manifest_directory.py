"""A directory of manifests to run commands on."""

from __future__ import annotations

from pathlib import Path

GUESTBOOK = """
apiVersion: v1
kind: Namespace
metadata:
  name: shop
  annotations: {net.beta.kubernetes.io/network-policy: '{"ingress": {"isolation": "DefaultDeny"}}'}
---
apiVersion: v1
kind: Namespace
metadata: {name: ops, labels: {team: ops}}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDR: 10.244.1.0/24}
status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: redis, namespace: shop, labels: {tier: backend}}
spec: {nodeName: n1, containers: [{name: c, ports: [{name: redis, containerPort: 6379}]}]}
status: {phase: Running, podIP: 10.244.1.2}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {tier: frontend}}
spec: {nodeName: n1, containers: [{name: c}]}
status: {phase: Running, podIP: 10.244.1.3}
---
apiVersion: v1
kind: Pod
metadata: {name: shell, namespace: ops}
spec: {nodeName: n2, containers: [{name: c}]}
status: {phase: Running, podIP: 10.244.2.4}
---
apiVersion: v1
kind: Pod
metadata: {name: exporter, namespace: ops}
spec: {nodeName: n1, hostNetwork: true, containers: [{name: c}]}
status: {phase: Running, podIP: 192.168.0.1}
---
apiVersion: extensions/v1beta1
kind: NetworkPolicy
metadata: {name: redis, namespace: shop}
spec:
  podSelector: {matchLabels: {tier: backend}}
  ingress:
  - from: [{podSelector: {matchLabels: {tier: frontend}}}]
    ports: [{port: 6379}]
"""


def write(directory: Path, text: str = GUESTBOOK) -> Path:
    """The directory, with these manifests in it."""
    (directory / "manifests.yaml").write_text(text, encoding="utf-8")
    return directory
