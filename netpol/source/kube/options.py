"""What the agent is told of the API server, by flags."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path


class PolicyApi(enum.Enum):
    """Which API the NetworkPolicies are read from (M5); the values are those of `--network-policy-api`."""

    AUTO = "auto"
    """networking.k8s.io/v1 where it is served, else extensions/v1beta1."""
    NETWORKING_V1 = "networking.k8s.io/v1"
    EXTENSIONS_V1BETA1 = "extensions/v1beta1"


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """Where the API server is; neither of the two means the service account of the pod that this runs in."""

    kubeconfig: Path | None = None
    master: str = ""
