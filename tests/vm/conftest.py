"""What the tests in a guest share: a lab of its own for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from vm.service_lab import ServiceLab


@pytest.fixture
def service_lab() -> Iterator[ServiceLab]:
    """Pods that serve, and clients of every kind, on a node without a proxy."""
    with ServiceLab() as lab:
        yield lab
