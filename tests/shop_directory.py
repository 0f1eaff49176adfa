"""Manifests as a person has them: a workload without pods, a pod without an address, and a policy."""

from __future__ import annotations

from pathlib import Path

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        ports: [{name: http, containerPort: 8080}]
"""
SHELL = """\
apiVersion: v1
kind: Pod
metadata: {name: shell, namespace: shop}
spec: {containers: [{name: shell}]}
"""
POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web-to-web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: http}]
"""


def write(directory: Path) -> Path:
    """A directory below `directory` that holds the shop."""
    shop = directory / "shop"
    shop.mkdir()
    for name, text in {"web": DEPLOYMENT, "shell": SHELL, "policy": POLICY}.items():
        (shop / f"{name}.yaml").write_text(text, encoding="utf-8")
    return shop
