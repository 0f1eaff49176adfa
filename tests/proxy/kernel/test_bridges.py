"""What stands in for the bridges keeps the promise that the tests in a guest hold the real ones to."""

from __future__ import annotations

from netpol.dataplane.memory.journal import Journal
from netpol.model.networks import parse_address
from proxy.kernel.bridges import NetlinkBridges
from proxy.kernel.memory import MemoryBridges
from proxy.kernel.protocols import Bridges

POD, OTHER = parse_address("10.244.0.11"), parse_address("10.244.0.12")


def test_pods_return_from_then_on() -> None:
    journal = Journal()
    bridges: Bridges = MemoryBridges(journal)
    assert bridges.let_return([POD]) == 1
    assert bridges.let_return([POD, OTHER]) == 1
    assert bridges.let_return([POD, OTHER]) == 0
    assert len(journal.operations) == 2


def test_without_pods_the_kernel_is_not_asked() -> None:
    assert NetlinkBridges().let_return([]) == 0
