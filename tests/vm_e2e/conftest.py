"""A real cluster of one node in a guest, whose kernel has IPVS; nobody serves the addresses of services."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from testbed.callers import Callers, callers_in
from testbed.cluster_fixtures import namespace, other, own_image
from testbed.live_cluster import LiveCluster
from testbed.node_files import ServiceProxy
from testbed.pod_images import pod_images

__all__ = ["namespace", "other", "own_image"]


@pytest.fixture(scope="session")
def live_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    """The cluster, with nothing in it but what Kubernetes puts there and what other tests have left.

    Its logs come out of the guest.
    """
    directory = tmp_path_factory.mktemp("cluster")
    try:
        with LiveCluster(directory, pod_images(), proxy=ServiceProxy.NONE) as cluster:
            yield cluster
    finally:
        shutil.copytree(directory, Path(os.environ["VM_OUT"], "cluster"))


@pytest.fixture
def callers(live_cluster: LiveCluster) -> Iterator[Callers]:
    """All who can ask in the cluster."""
    with callers_in(live_cluster) as callers:
        yield callers
