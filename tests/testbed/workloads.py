"""What the tests run in the cluster: Deployments whose pods serve a port, and connections between them."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from subprocess import CompletedProcess
from typing import Any

from testbed.binaries import program
from testbed.live_cluster import LiveCluster
from testbed.pod_images import AGNHOST
from waiting import wait_until

PORT = 8080
READY_SECONDS = 180
SCRIPT_SECONDS = 30
SOON_SECONDS = 5
"""How long it may take until the first packet goes the new way; a busy machine is not taken for a slow agent."""

ANNOTATION = "net.beta.kubernetes.io/network-policy"
CLOSED = f'{ANNOTATION}={{"ingress": {{"isolation": "DefaultDeny"}}}}'

Rule = dict[str, object]
"""A rule of a policy, as the API has it."""


@dataclass(frozen=True)
class LivePod:
    """A running pod, and connections from it."""

    cluster: LiveCluster
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @cached_property
    def addresses(self) -> tuple[str, ...]:
        """Its addresses, IPv4 first."""
        status = json.loads(self.cluster.kubectl("-n", self.namespace, "get", "pod", self.name, "-o", "json"))["status"]
        return tuple(each["ip"] for each in status["podIPs"])

    def run(self, *command: str) -> str:
        """What `command` wrote in the pod."""
        return self.cluster.kubectl("-n", self.namespace, "exec", self.name, "--", *command)

    @contextmanager
    def running(self, script: str) -> Iterator[list[str]]:
        """A shell script in the pod, under way inside the `with` and told to end after it, by the file /tmp/stop.

        The words that it wrote are known then.
        """
        shell = ("-n", self.namespace, "exec", self.name, "--", "/bin/sh", "-c")
        self.cluster.kubectl(*shell, "/bin/busybox rm -f /tmp/stop")
        words: list[str] = []
        with self.cluster.kubectl.started(*shell, script) as started:
            try:
                yield words
            finally:
                self.cluster.kubectl(*shell, "echo > /tmp/stop")
                try:
                    written, _ = started.communicate(timeout=SCRIPT_SECONDS)
                except subprocess.TimeoutExpired:
                    started.kill()
                    raise
            words += written.split()

    def reaches(self, address: str, port: int = PORT, seconds: float = 2) -> bool:
        """Whether a TCP connection from the pod opens; False where nothing answers.

        AssertionError where it was refused or could not be tried: a firewall drops.
        """
        command = ("exec", self.name, "--", "/agnhost", "connect", _at(address, port), f"--timeout={seconds}s")
        return _connected(self.cluster.kubectl.attempt("-n", self.namespace, *command))

    def until_it_reaches(self, address: str, port: int = PORT) -> None:
        """A connection has opened."""
        wait_until(lambda: self.reaches(address, port, seconds=0.5), f"{self.name} reaches {address}", SOON_SECONDS)

    def until_it_meets_silence(self, address: str, port: int = PORT) -> None:
        """A connection was met with silence."""
        unreached = f"{self.name} does not reach {address}"
        wait_until(lambda: not self.reaches(address, port, seconds=0.5), unreached, SOON_SECONDS)


@dataclass(frozen=True)
class LiveNamespace:
    """A namespace of the cluster, and what is put into it."""

    cluster: LiveCluster
    name: str

    def __str__(self) -> str:
        return self.name

    def kubectl(self, *arguments: str) -> str:
        """What kubectl wrote of objects in the namespace."""
        return self.cluster.kubectl("-n", self.name, *arguments)

    def annotate(self, *annotations: str) -> None:
        """The namespace has these annotations, and none of those that end in a minus."""
        self.cluster.kubectl("annotate", "--overwrite", "namespace", self.name, *annotations)

    def apply(self, *objects: dict[str, Any]) -> None:
        """The objects are in the namespace, as `kubectl apply` puts them there."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.cluster.kubectl("-n", self.name, "apply", "-f", "-", given=json.dumps(listed))

    def pods_of(self, deployed: str) -> list[LivePod]:
        """The pods of a Deployment once all of them are ready."""
        self.kubectl("rollout", "status", f"deployment/{deployed}", f"--timeout={READY_SECONDS}s")
        # A rollout is over before the pods that it has replaced are gone.
        return wait_until(lambda: self._ready_pods(deployed), f"only pods of today's {deployed}")

    def _ready_pods(self, deployed: str) -> list[LivePod]:
        pods = json.loads(self.kubectl("get", "pods", "-l", f"deployment={deployed}", "-o", "json"))["items"]
        if any("deletionTimestamp" in pod["metadata"] for pod in pods):
            return []
        return [LivePod(self.cluster, self.name, pod["metadata"]["name"]) for pod in pods]


def reaches_from(place: Sequence[str], address: str, port: int = PORT, seconds: float = 2) -> bool:
    """The same from inside or outside the node: `place` is what the cluster says to put before a command."""
    command = [*place, str(program("agnhost")), "connect", _at(address, port), f"--timeout={seconds}s"]
    return _connected(subprocess.run(command, capture_output=True, text=True, check=False))


def _at(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ipaddress.ip_address(address).version == 6 else f"{address}:{port}"


def _connected(done: CompletedProcess[str]) -> bool:
    if done.returncode == 0:
        return True
    if "TIMEOUT" in done.stderr + done.stdout:
        return False
    raise AssertionError(done.stderr + done.stdout)


def deployment(name: str, replicas: int = 1, port: int = PORT, **labels: str) -> dict[str, Any]:
    """A Deployment whose pods answer on `port`, and are ready while the kubelet gets an answer there."""
    probe = {"httpGet": {"path": "/hostname", "port": port}, "periodSeconds": 1, "failureThreshold": 2}
    container = {
        "name": "serve",
        "image": AGNHOST,
        "args": ["netexec", f"--http-port={port}"],
        "ports": [{"name": "http", "containerPort": port}],
        "readinessProbe": probe,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"deployment": name}},
            "template": {
                "metadata": {"labels": {"deployment": name, **labels}},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
            },
        },
    }


def service(name: str) -> dict[str, Any]:
    """A Service in front of the Deployment of the same name."""
    ports = [{"port": 80, "targetPort": PORT}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"deployment": name}, "ports": ports},
    }


def policy(name: str, pods: dict[str, str], *rules: Rule) -> dict[str, Any]:
    """A policy of networking.k8s.io/v1 for ingress to the pods with these labels."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {"podSelector": {"matchLabels": pods}, "ingress": list(rules)},
    }
