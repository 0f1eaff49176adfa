"""Cut UDP flows as the kernel remembers them: by the side that answered, which may be the next to speak (G11)."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from netpol.compiler.ruleset import AddressPortAddress, Member
from netpol.dataplane.kernel import Flow
from netpol.model.ports import Protocol


def answering_sides(flows: Iterable[Flow]) -> frozenset[AddressPortAddress]:
    """Who answers those of the flows that are UDP: from which address and port, and to whom."""
    return frozenset(
        AddressPortAddress(flow.destination.packed, flow.protocol, flow.port, flow.source.packed)
        for flow in flows
        if flow.protocol is Protocol.UDP and flow.port is not None
    )


def flows_answered(sides: Iterable[Member]) -> list[Flow]:
    """A flow for each of these members: who was answered opened it. It is there to be judged, not to be deleted."""
    return [
        Flow(ip_address(member.peer), ip_address(member.packed), member.protocol, member.port, handle=b"")
        for member in sides
        if isinstance(member, AddressPortAddress)
    ]
