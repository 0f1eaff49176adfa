"""Cut UDP flows as members of a set, and back (G11)."""

from __future__ import annotations

import pytest
from builders import address

from netpol.compiler.ruleset import AddressPortAddress, IpSet, SetType
from netpol.control.answering import answering_sides, flows_answered
from netpol.dataplane.kernel import Flow
from netpol.model.networks import family_of
from netpol.model.ports import Protocol


def flow(source: str, destination: str, protocol: Protocol | None = Protocol.UDP, port: int | None = 53) -> Flow:
    return Flow(address(source), address(destination), protocol, port, handle=b"1")


def test_who_was_reached_answers_from_the_port_that_was_reached() -> None:
    assert answering_sides([flow("10.0.0.3", "10.0.0.2")]) == {
        AddressPortAddress(bytes([10, 0, 0, 2]), Protocol.UDP, 53, bytes([10, 0, 0, 3]))
    }


def test_other_protocols_than_udp_have_openings_of_their_own() -> None:
    others = [
        flow("10.0.0.3", "10.0.0.2", Protocol.TCP),
        flow("10.0.0.3", "10.0.0.2", Protocol.SCTP),
        flow("10.0.0.3", "10.0.0.2", Protocol.ICMP, None),
        flow("10.0.0.3", "10.0.0.2", None, None),
    ]
    assert answering_sides(others) == frozenset()


@pytest.mark.parametrize("ends", [("10.0.0.3", "10.0.0.2"), ("fd00::3", "fd00::2")])
def test_the_flow_that_was_answered_can_be_judged_again(ends: tuple[str, str]) -> None:
    former = flow(*ends)
    sides = IpSet("A", SetType.ADDRESS_PORT_ADDRESSES, family_of(former.source), answering_sides([former]))
    (again,) = flows_answered(sides.members)
    assert (again.source, again.destination, again.protocol, again.port) == (*map(address, ends), Protocol.UDP, 53)
    assert not again.handle, "nothing in the kernel can be deleted by it"
