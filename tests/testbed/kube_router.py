"""The DaemonSet that kube-router is deployed with beside flannel, its image swapped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml
from testbed.agent import netpol_command
from testbed.live_cluster import LiveCluster
from testbed.node_rules import own_state
from waiting import wait_until

ROLLOUT_SECONDS = 300
CNI_FILE = "/etc/cni/net.d/10-kuberouter.conflist"
CNI = {
    "cniVersion": "0.3.0",
    "name": "mynet",
    "plugins": [
        {
            "name": "kubernetes",
            "type": "bridge",
            "bridge": "kube-bridge",
            "isDefaultGateway": True,
            "ipam": {"type": "host-local"},
        },
        {"type": "portmap", "capabilities": {"snat": True, "portMappings": True}},
    ],
}
LABELS = {"k8s-app": "kube-router"}
MOUNTS = [
    {"name": "lib-modules", "mountPath": "/lib/modules", "readOnly": True},
    {"name": "cni-conf-dir", "mountPath": "/etc/kubernetes/cni/net.d"},
    {"name": "kubeconfig", "mountPath": "/var/lib/kube-router/kubeconfig", "readOnly": True},
    {"name": "cert", "mountPath": "/etc/kubernetes/ssl"},
    {"name": "kube-router-cfg", "mountPath": "/etc/cni/net.d/"},
]
# A machine without modules has no /lib/modules, and nothing of it may be made for a test.
HOST_PATHS = {
    "lib-modules": "/lib/modules" if Path("/lib/modules").is_dir() else "/etc/kubernetes/modules",
    "cni-conf-dir": "/etc/kubernetes/cni/net.d",
    "kubeconfig": "/etc/kubernetes/kubeconfig",
    "cert": "/etc/kubernetes/ssl",
}


def daemon_set(image: str, arguments: Sequence[str]) -> dict[str, object]:
    """The DaemonSet of this image, with these arguments, and the usual environment and mounts."""
    container = {
        "name": "kube-router",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": list(arguments),
        "env": [
            {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "KUBE_ROUTER_CNI_CONF_FILE", "value": CNI_FILE},
        ],
        "securityContext": {"privileged": True},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 80, "host": "127.0.0.1"}, "periodSeconds": 1},
        "volumeMounts": MOUNTS,
    }
    volumes: list[dict[str, object]] = [{"name": name, "hostPath": {"path": path}} for name, path in HOST_PATHS.items()]
    volumes.append({"name": "kube-router-cfg", "configMap": {"name": "kube-router-cfg"}})
    spec = {
        "hostNetwork": True,
        "priorityClassName": "system-node-critical",
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
        "volumes": volumes,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "kube-router", "namespace": "kube-system", "labels": LABELS},
        "spec": {"selector": {"matchLabels": LABELS}, "template": {"metadata": {"labels": LABELS}, "spec": spec}},
    }


@contextmanager
def rolled_out(cluster: LiveCluster, image: str, arguments: Sequence[str]) -> Iterator[None]:
    """Inside, it runs on the node, which has the files that it mounts; afterwards nothing of it is left."""
    known = yaml.safe_load(cluster.kubeconfig.read_text())
    api = known["clusters"][0]["cluster"]
    cluster.run("mkdir", "-p", *(path for name, path in HOST_PATHS.items() if name != "kubeconfig"))
    cluster.run("cp", api["certificate-authority"], "/etc/kubernetes/ssl/ca.pem")
    api["certificate-authority"] = "/etc/kubernetes/ssl/ca.pem"
    cluster.run("tee", HOST_PATHS["kubeconfig"], given=yaml.safe_dump(known))
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kube-router-cfg", "namespace": "kube-system"},
        "data": {"10-kuberouter.conflist": json.dumps(CNI)},
    }
    kubectl = cluster.kubectl
    both = {"apiVersion": "v1", "kind": "List", "items": [settings, daemon_set(image, arguments)]}
    kubectl("apply", "-f", "-", given=json.dumps(both))
    kubectl("-n", "kube-system", "rollout", "status", "daemonset/kube-router", f"--timeout={ROLLOUT_SECONDS}s")
    yield
    kubectl("-n", "kube-system", "delete", "daemonset/kube-router", "configmap/kube-router-cfg", "--wait")
    wait_until(
        lambda: "kube-router" not in kubectl("-n", "kube-system", "get", "pods", "-o", "name"),
        "the agent has ended",
    )
    cluster.run(*netpol_command("cleanup"))
    assert not own_state(cluster)
