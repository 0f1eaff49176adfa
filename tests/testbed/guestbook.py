"""The guestbook of manifests/examples, as a real cluster takes it: with an image of this machine, and today's API."""

from __future__ import annotations

import json
import subprocess

from testbed.pod_images import AGNHOST

from netpol.demo.raw import at, read_objects, text
from netpol.demo.walk import CLUSTER, EXAMPLES, GUESTBOOK
from netpol.model.ports import Protocol, ProtocolPort
from netpol.source.fields import Fields

NAMESPACES = ("production", "staging")
PORTS = (ProtocolPort(Protocol.TCP, 80), ProtocolPort(Protocol.TCP, 6379))
"""What every pod serves, so that it is the policies alone that tell pods apart."""

CONTAINERS = tuple(f"serve-{port.port}" for port in PORTS)

MODERNISED = ("sed", "s|extensions/v1beta1|networking.k8s.io/v1|", str(EXAMPLES / GUESTBOOK))
"""The command that prints the guestbook's policies for an API server of today."""


def pods_of_the_guestbook() -> str:
    """The namespaces and pods, as `kubectl apply` takes them: of the examples' pods the names and labels are kept."""
    namespaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in NAMESPACES]
    pods = [_pod(fields) for fields in read_objects(EXAMPLES / CLUSTER) if text(fields, "kind") == "Pod"]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [*namespaces, *pods]})


def policies_of_the_guestbook() -> str:
    """What `MODERNISED` prints."""
    return subprocess.run(MODERNISED, capture_output=True, text=True, check=True).stdout


def _pod(fields: Fields) -> dict[str, object]:
    spec = {"containers": list(map(_serving, CONTAINERS, PORTS)), "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": at(fields, "metadata"), "spec": spec}


def _serving(name: str, port: ProtocolPort) -> dict[str, object]:
    """A container that answers with its pod's name, and is ready while the kubelet gets an answer."""
    return {
        "name": name,
        "image": AGNHOST,
        "args": ["netexec", f"--http-port={port.port}", "--udp-port=-1"],
        "ports": [{"containerPort": port.port}],
        "readinessProbe": {"httpGet": {"path": "/hostname", "port": port.port}, "periodSeconds": 1},
    }
