"""What is asked of a cluster, and of which of its policies."""

from __future__ import annotations

import pytest
from builders import INGRESS, address, namespace, pod, policy, world

from netpol.model.policies import Direction
from netpol.model.ports import ProtocolPort
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import Extent
from netpol.policy.judgement import ExternalEnd, PodEnd
from netpol.policy.lookups import Lookups
from netpol.suggest.extents import AskedSide, Oracles, by_extent

A = pod("x/a", "10.0.0.1", labels="app=a")
WEB = ProtocolPort.parse("80/TCP")


def oracles(snapshot: Snapshot) -> Oracles:
    return by_extent(snapshot, Lookups.of(snapshot))


def asked(direction: Direction) -> AskedSide:
    return AskedSide(direction, PodEnd(A, A.addresses[0]), ExternalEnd(address("192.0.2.1")), WEB)


@pytest.mark.parametrize("direction", list(Direction))
def test_a_side_is_answered_as_the_side_it_is(direction: Direction) -> None:
    snapshot = world(namespace("x"), A, policy("x/p", directions=INGRESS))
    decision = asked(direction).answer(oracles(snapshot)[Extent.ENFORCED])
    assert decision.direction is direction
    assert decision.allowed is (direction is Direction.EGRESS)
    assert asked(direction).connection.protocol_port == WEB


def test_x16_each_extent_has_an_oracle_of_its_own() -> None:
    snapshot = world(namespace("x"), A, policy("x/p", under_audit=True))
    side = asked(Direction.INGRESS)
    allowed = {extent: side.answer(oracle).allowed for extent, oracle in oracles(snapshot).items()}
    assert allowed == {Extent.ENFORCED: True, Extent.ALL: False}
