"""The agent as the manifests roll it out, in a pod on every node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.live_cluster import LiveCluster
from testbed.node_files import NODE_V4
from testbed.node_rules import kube_rules, own_state
from waiting import wait_until

MANIFESTS = Path(__file__).parents[2] / "manifests"
FIREWALL, CLEANUP = str(MANIFESTS / "netpol-firewall.yaml"), str(MANIFESTS / "netpol-cleanup.yaml")
BOTH = MANIFESTS / "netpol-both.yaml"
API_PLACE = "api.example.com"
"""Where the manifests of a service proxy say that the API server is, until who applies them says it."""
ROLLOUT_SECONDS = 180


@contextmanager
def rolled_out(cluster: LiveCluster) -> Iterator[None]:
    """Inside, the firewall is rolled out; it leaves the node as it was when it is taken away."""
    before = kube_rules(cluster)
    cluster.kubectl("apply", "-f", FIREWALL)
    rollout_ends(cluster, "netpol")
    yield
    cluster.kubectl("delete", "-f", FIREWALL, "--wait")
    wait_until(lambda: not agents(cluster), "the agent has ended")
    assert own_state(cluster)
    cluster.kubectl("apply", "-f", CLEANUP)
    rollout_ends(cluster, "netpol-cleanup")
    cluster.kubectl("delete", "-f", CLEANUP, "--wait")
    assert not own_state(cluster)
    assert set(before) <= set(kube_rules(cluster))


@contextmanager
def both_rolled_out(cluster: LiveCluster) -> Iterator[None]:
    """Inside, firewall and service proxy are rolled out as one; nothing of them is left afterwards."""
    manifest = BOTH.read_text(encoding="utf-8").replace(API_PLACE, NODE_V4)
    cluster.kubectl("apply", "-f", "-", given=manifest)
    rollout_ends(cluster, "netpol")
    yield
    cluster.kubectl("delete", "-f", "-", "--wait", given=manifest)
    wait_until(lambda: not agents(cluster), "the agent has ended")
    assert "kube-dummy-if" in cluster.run("ip", "-brief", "link")
    cluster.kubectl("apply", "-f", CLEANUP)
    rollout_ends(cluster, "netpol-cleanup")
    cluster.kubectl("delete", "-f", CLEANUP, "--wait")
    assert not own_state(cluster)
    assert "kube-dummy-if" not in cluster.run("ip", "-brief", "link")
    assert not cluster.run("ipvsadm", "--save", "--numeric")


def rollout_ends(cluster: LiveCluster, name: str) -> None:
    """Every pod of the DaemonSet is today's, and ready."""
    timeout = f"--timeout={ROLLOUT_SECONDS}s"
    cluster.kubectl("-n", "kube-system", "rollout", "status", f"daemonset/{name}", timeout)


def agents(cluster: LiveCluster) -> list[dict[str, object]]:
    """The agent's pods; each says how often it was restarted, which one that was made a moment ago has no word on."""
    found = json.loads(cluster.kubectl("-n", "kube-system", "get", "pods", "-l", "k8s-app=netpol", "-o", "json"))
    return [
        {
            "name": pod["metadata"]["name"],
            "restarts": sum(each["restartCount"] for each in pod["status"].get("containerStatuses", ())),
        }
        for pod in found["items"]
    ]


def netpol(cluster: LiveCluster, *arguments: str) -> str:
    """What a command of netpol printed in the agent's pod; a failure is KubectlFailed."""
    return cluster.kubectl("-n", "kube-system", "exec", "ds/netpol", "--", "netpol", *arguments)
