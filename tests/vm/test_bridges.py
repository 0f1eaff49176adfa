"""Bridges whose ports return packets, in a real kernel."""

from __future__ import annotations

import builders
import pytest
from vm.service_lab import ServiceLab

from proxy.kernel.bridges import NetlinkBridges

pytestmark = pytest.mark.vm


def test_every_port_of_the_pods_bridge_returns_packets(service_lab: ServiceLab) -> None:
    pods = [service_lab.endpoint(name).address for name in service_lab.web]
    assert "hairpin on" not in service_lab.run("bridge", "-d", "link", "show")
    with service_lab.node.entered():
        bridges = NetlinkBridges()
        assert bridges.let_return([builders.address("203.0.113.9")]) == 0
        assert bridges.let_return(pods[:1]) == len(pods) + 1
        assert bridges.let_return(pods) == 0
    assert "hairpin off" not in service_lab.run("bridge", "-d", "link", "show")
