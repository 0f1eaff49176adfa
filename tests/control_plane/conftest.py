"""A real API server of each release, started for the first test that asks and shared by all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from itertools import count
from pathlib import Path

import pytest
from private_network import missing
from testbed.api_client import ApiClient
from testbed.api_servers import CURRENT, OLD, RELEASES, ApiServer, Release
from testbed.lab_cluster import BETA, LabCluster

from netpol.lab.namespace import LabError, require_namespaces

_numbers = count(1)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Release], ApiServer]]:
    """The server of a release."""
    with ExitStack() as stack:

        @cache
        def server(release: Release) -> ApiServer:
            return stack.enter_context(ApiServer(release, tmp_path_factory.mktemp(release.name)))

        yield server


@pytest.fixture(params=RELEASES, ids=lambda release: release.name)
def api_server(request: pytest.FixtureRequest, servers: Callable[[Release], ApiServer]) -> ApiServer:
    """Each release in turn."""
    return servers(request.param)


@pytest.fixture
def old_server(servers: Callable[[Release], ApiServer]) -> ApiServer:
    """The server that serves extensions/v1beta1."""
    return servers(OLD)


@pytest.fixture
def current_server(servers: Callable[[Release], ApiServer]) -> ApiServer:
    """A server of today."""
    return servers(CURRENT)


@pytest.fixture
def client(api_server: ApiServer) -> ApiClient:
    """Requests to the server as one who may do everything."""
    return api_server.client()


@pytest.fixture
def namespace() -> str:
    """A name that no other test has for its namespace."""
    return f"test-{next(_numbers)}"


@pytest.fixture(scope="session")
def lab_clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Release], LabCluster]]:
    """The lab with a server of a release; the test ends here where the machine gives no namespaces."""
    try:
        require_namespaces()
    except LabError as refusal:
        missing(str(refusal))
    with ExitStack() as stack:

        @cache
        def cluster(release: Release) -> LabCluster:
            return stack.enter_context(LabCluster(release, tmp_path_factory.mktemp(release.name)))

        yield cluster


@pytest.fixture
def populated(lab_clusters: Callable[[Release], LabCluster]) -> Iterator[Callable[[Release], LabCluster]]:
    """The lab of a release whose server knows all of it, with the test's thread on its first node."""
    with ExitStack() as stack:

        def cluster(release: Release) -> LabCluster:
            found = lab_clusters(release)
            stack.enter_context(found.home.entered())
            stack.callback(found.clear)
            stack.callback(found.unbind_role)
            found.forget_connections()
            found.bind_role()
            found.register()
            return found

        yield cluster


@pytest.fixture(params=[BETA, CURRENT], ids=lambda release: release.name)
def lab_cluster(request: pytest.FixtureRequest, populated: Callable[[Release], LabCluster]) -> LabCluster:
    """The lab with a server of each release in turn, whose policies are those of its time."""
    return populated(request.param)


@pytest.fixture
def beta_cluster(populated: Callable[[Release], LabCluster]) -> LabCluster:
    """The lab with the server that serves nothing but extensions/v1beta1."""
    return populated(BETA)


@pytest.fixture
def v1_cluster(populated: Callable[[Release], LabCluster]) -> LabCluster:
    """The lab with a server of today."""
    return populated(CURRENT)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where an agent writes its log."""
    return tmp_path / "netpol.log"
