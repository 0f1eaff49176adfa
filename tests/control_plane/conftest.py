"""A real API server of each release, started for the first test that asks and shared by all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from itertools import count

import pytest
from testbed.api_client import ApiClient
from testbed.api_servers import CURRENT, OLD, RELEASES, ApiServer, Release

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
