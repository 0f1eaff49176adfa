"""The service link in memory does what the kernel's does; tests/vm asks the kernel's."""

from __future__ import annotations

import pytest
from service_link_cases import ServiceLinkCases

from proxy.kernel.memory import MemoryProxyKernel
from proxy.kernel.protocols import ServiceLink


@pytest.fixture
def link() -> ServiceLink:
    return MemoryProxyKernel().link


class TestInMemory(ServiceLinkCases):
    """Every case, in memory."""
