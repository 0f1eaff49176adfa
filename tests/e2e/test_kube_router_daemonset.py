"""The DaemonSet that kube-router is deployed with beside flannel: its image swapped, its firewall turned on."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from testbed.kube_router import CNI, CNI_FILE, rolled_out
from testbed.live_cluster import LiveCluster
from testbed.node_rules import own_state
from testbed.workloads import CLOSED, LiveNamespace, LivePod, deployment

pytestmark = pytest.mark.e2e

ARGUMENTS = [
    *("--run-router=false", "--run-firewall=true", "--run-service-proxy=false"),
    *("--kubeconfig=/var/lib/kube-router/kubeconfig", "--masquerade-all"),
    *("--ipvs-sync-period=5s", "--iptables-sync-period=10s", "--cluster-cidr=10.20.0.0/16", "--metrics-port=80"),
]


@pytest.fixture(name="rolled_out")
def _rolled_out(live_cluster: LiveCluster, own_image: str) -> Iterator[None]:
    with rolled_out(live_cluster, own_image, ARGUMENTS):
        yield


@pytest.mark.usefixtures("rolled_out")
def test_it_closes_a_namespace_that_is_annotated(
    live_cluster: LiveCluster, namespace: LiveNamespace, other: LivePod
) -> None:
    namespace.apply(deployment("web"))
    (web,) = namespace.pods_of("web")
    other.until_it_reaches(web.addresses[0])

    namespace.annotate(CLOSED)

    other.until_it_meets_silence(web.addresses[0])
    assert any(web.addresses[0] in line for line in own_state(live_cluster))
    written = live_cluster.kubectl("-n", "kube-system", "exec", "daemonset/kube-router", "--", "cat", CNI_FILE)
    assert json.loads(written) == CNI
    log = live_cluster.kubectl("-n", "kube-system", "logs", "daemonset/kube-router")
    assert "without effect" in log
    assert "--masquerade-all" in log
