"""The IPVS in memory does what the kernel's does; tests/vm asks the kernel's."""

from __future__ import annotations

import pytest
from virtual_server_cases import VirtualServerCases

from proxy.kernel.memory import MemoryProxyKernel
from proxy.kernel.protocols import VirtualServers


@pytest.fixture
def servers() -> VirtualServers:
    return MemoryProxyKernel().servers


class TestInMemory(VirtualServerCases):
    """Every case, in memory."""
