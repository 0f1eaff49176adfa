"""What is written in the kernel of a cluster's node, and by whom."""

from __future__ import annotations

import re

from testbed.live_cluster import LiveCluster


def kube_rules(cluster: LiveCluster) -> list[str]:
    """What kube-proxy and the kubelet have written, but for the services of tests, which come and go."""
    passing = re.compile("KUBE-(SVC|SEP|EXT|FW)-|test-[0-9]")
    return [line for line in _rules(cluster) if "KUBE-" in line and not passing.search(line)]


def own_state(cluster: LiveCluster) -> list[str]:
    """The rules and the sets that are the agent's."""
    sets = cluster.run("ipset", "save", "-sorted").splitlines()
    return [line for line in (*_rules(cluster), *sets) if "NETPOL-" in line]


def _rules(cluster: LiveCluster) -> list[str]:
    saved = (cluster.run(f"{tool}-save").splitlines() for tool in ("iptables", "ip6tables"))
    return [line.partition(" [")[0] for lines in saved for line in lines if not line.startswith("#")]
