"""A connection is there from when a test opens it until it is deleted; the journal tells."""

from __future__ import annotations

from ipaddress import IPv4Address

from netpol.dataplane.kernel import Flow
from netpol.dataplane.memory.flows import MemoryFlows
from netpol.dataplane.memory.journal import Journal
from netpol.model.networks import Family
from netpol.model.ports import Protocol


def test_a_deletion_is_an_operation() -> None:
    journal = Journal()
    flows = MemoryFlows(journal)
    flow = Flow(IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2"), Protocol.TCP, 80, b"1")
    flows.open(Family.IPV4, flow)
    assert (flows.read(Family.IPV4), flows.read(Family.IPV6)) == ((flow,), ())
    flows.delete(Family.IPV4, [flow])
    assert flows.read(Family.IPV4) == ()
    assert journal.operations == ["delete flow 10.0.0.1 to 10.0.0.2"]
