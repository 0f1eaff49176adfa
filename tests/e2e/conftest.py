"""A real cluster of one node, up for all tests of this level."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from private_network import missing
from testbed.agent import Agent, netpol_command
from testbed.agent_image import TAG, NoImage, make_image
from testbed.binaries import directory
from testbed.daemonset import rolled_out
from testbed.live_cluster import LiveCluster
from testbed.node_rules import kube_rules, own_state
from testbed.pod_images import pod_images
from testbed.workloads import LiveNamespace, LivePod, deployment

_numbers = count(1)


@pytest.fixture(scope="session")
def live_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    """The cluster, with nothing in it but what Kubernetes puts there and what other tests have left."""
    with LiveCluster(tmp_path_factory.mktemp("cluster"), pod_images()) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def own_image(live_cluster: LiveCluster) -> str:
    """The name by which the node knows the image of this tree."""
    image = directory() / "images" / "netpol.tar"
    try:
        make_image(image)
    except NoImage as refusal:
        missing(str(refusal))
    live_cluster.import_image(image)
    return TAG


@pytest.fixture(scope="module")
def firewall(live_cluster: LiveCluster, own_image: str) -> Iterator[None]:
    """The manifests are rolled out; the node is as it was when the tests are over."""
    with rolled_out(live_cluster):
        yield


@pytest.fixture
def namespace(live_cluster: LiveCluster) -> Iterator[LiveNamespace]:
    """A namespace for this test alone; its pods go with it."""
    with _namespace(live_cluster, f"test-{next(_numbers)}") as namespace:
        yield namespace


@pytest.fixture
def other(live_cluster: LiveCluster, namespace: LiveNamespace) -> Iterator[LivePod]:
    """A pod of another namespace."""
    with _namespace(live_cluster, f"{namespace}-other") as others:
        others.apply(deployment("client"))
        (pod,) = others.pods_of("client")
        yield pod


@contextmanager
def _namespace(cluster: LiveCluster, name: str) -> Iterator[LiveNamespace]:
    cluster.kubectl("create", "namespace", name)
    yield LiveNamespace(cluster, name)
    cluster.kubectl("delete", "namespace", name, "--wait=false")


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
