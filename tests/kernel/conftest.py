"""What the tests with real packets share: a machine that can give namespaces, and clusters on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cluster import Cluster
from private_network import missing

from netpol.lab.namespace import LabError, require_namespaces
from netpol.settings import Variant


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Network namespaces can be made; the test ends here where they cannot."""
    try:
        require_namespaces()
    except LabError as refusal:
        missing(str(refusal))


@pytest.fixture(scope="module", params=list(Variant), ids=lambda variant: variant.value)
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, namespaces: None
) -> Iterator[Cluster]:
    """The usual cluster, once for each variant of iptables; every test enforces over what the one before left."""
    with Cluster(tmp_path_factory.mktemp("manifests"), variant=request.param) as built:
        yield built


@pytest.fixture(scope="module")
def mixed_cluster(tmp_path_factory: pytest.TempPathFactory, namespaces: None) -> Iterator[Cluster]:
    """The usual cluster, its first node writing by nft and its second by legacy: for what variants have no part in."""
    with Cluster(tmp_path_factory.mktemp("manifests"), variants={"two": Variant.LEGACY}) as built:
        yield built
