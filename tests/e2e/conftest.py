"""A real cluster of one node, up for all tests of this level."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from testbed.agent import Agent, netpol_command
from testbed.cluster_fixtures import namespace, other, own_image
from testbed.daemonset import rolled_out
from testbed.live_cluster import LiveCluster
from testbed.node_rules import kube_rules, own_state
from testbed.pod_images import pod_images

__all__ = ["namespace", "other", "own_image"]


@pytest.fixture(scope="session")
def live_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    """The cluster, with nothing in it but what Kubernetes puts there and what other tests have left."""
    with LiveCluster(tmp_path_factory.mktemp("cluster"), pod_images()) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def firewall(live_cluster: LiveCluster, own_image: str) -> Iterator[None]:
    """The manifests are rolled out; the node is as it was when the tests are over."""
    with rolled_out(live_cluster):
        yield


@pytest.fixture(scope="module")
def agent(live_cluster: LiveCluster) -> Iterator[Agent]:
    """The agent at work; the node is as it was when the tests are over."""
    before = kube_rules(live_cluster)
    with Agent(live_cluster) as agent:
        yield agent
    # kube-proxy and the kubelet add to their rules, and in an order of their own.
    assert set(before) <= set(kube_rules(live_cluster))
    before = kube_rules(live_cluster)
    live_cluster.run(*netpol_command("cleanup"))
    assert kube_rules(live_cluster) == before
    assert not own_state(live_cluster)
