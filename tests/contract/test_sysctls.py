"""The settings in memory are kept as the kernel's are; tests/vm asks the kernel's."""

from __future__ import annotations

import pytest
from sysctl_cases import Settings, SysctlCases

from proxy.kernel.memory import MemoryProxyKernel, MemorySysctls


@pytest.fixture
def settings() -> Settings:
    kernel = MemoryProxyKernel()
    values = kernel.sysctls.values

    def start() -> MemorySysctls:
        started = MemorySysctls(kernel.journal, kernel.link)
        started.values = values
        return started

    return Settings(start, kernel.link, values.__getitem__, values.__setitem__)


class TestInMemory(SysctlCases):
    """Every case, in memory."""
