"""Fixtures of the levels that have a cluster; each level's `conftest.py` says what `live_cluster` is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from testbed.agent_image import TAG
from testbed.level_images import own_image_file
from testbed.live_cluster import LiveCluster
from testbed.workloads import LiveNamespace, LivePod, deployment

_numbers = count(1)


@pytest.fixture(scope="session")
def own_image(live_cluster: LiveCluster) -> str:
    """The name by which the node knows the image of this tree."""
    live_cluster.import_image(own_image_file())
    return TAG


@pytest.fixture
def namespace(live_cluster: LiveCluster) -> Iterator[LiveNamespace]:
    """A namespace for this test alone; its pods go with it."""
    with fresh_namespace(live_cluster) as namespace:
        yield namespace


@pytest.fixture
def other(live_cluster: LiveCluster, namespace: LiveNamespace) -> Iterator[LivePod]:
    """A pod of another namespace."""
    with _namespace(live_cluster, f"{namespace}-other") as others:
        others.apply(deployment("client"))
        (pod,) = others.pods_of("client")
        yield pod


@contextmanager
def fresh_namespace(cluster: LiveCluster) -> Iterator[LiveNamespace]:
    """A namespace that nobody had before, inside the `with`."""
    with _namespace(cluster, f"test-{next(_numbers)}") as namespace:
        yield namespace


@contextmanager
def _namespace(cluster: LiveCluster, name: str) -> Iterator[LiveNamespace]:
    cluster.kubectl("create", "namespace", name)
    yield LiveNamespace(cluster, name)
    cluster.kubectl("delete", "namespace", name, "--wait=false")
