from __future__ import annotations

import pytest
from builders import BOTH, EGRESS, INGRESS, address, beta, namespace, pod, policy, rule, world

from netpol.model.policies import Direction
from netpol.model.ports import ProtocolPort
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import Extent
from netpol.policy.judgement import ExternalEnd, PodEnd, Reason
from netpol.suggest.extents import Side, View

A, B = pod("x/a", "10.0.0.1", labels="app=a"), pod("x/b", labels="app=b")
WEB = ProtocolPort.parse("80/TCP")


def isolated(snapshot: Snapshot, extent: Extent = Extent.ENFORCED) -> set[tuple[str, str]]:
    view = View(snapshot, extent)
    return {(p.name, d.value) for p in snapshot.pods.values() for d in Direction if view.isolates(p, d)}


def test_v1_m4_annotation_and_policies_isolate_whom_they_concern() -> None:
    annotated = namespace("x", deny=True)
    assert isolated(world(annotated, A, B)) == {("a", "ingress"), ("b", "ingress")}
    assert isolated(world(A, B, policy("x/p", "app=b", directions=EGRESS))) == {("b", "egress")}
    assert isolated(world(A, B, policy("y/p", directions=BOTH))) == set()
    assert isolated(world(namespace("x"), A, B, beta("x/p"))) == set()


@pytest.mark.parametrize("under_audit", ["namespace", "policy"])
def test_x16_what_is_under_audit_isolates_in_the_larger_extent_only(under_audit: str) -> None:
    snapshot = world(
        namespace("x", deny=True, under_audit=under_audit == "namespace"),
        A,
        policy("x/p", directions=EGRESS, under_audit=under_audit == "policy"),
    )
    enforced = {("a", "ingress")} if under_audit == "policy" else set()
    assert isolated(snapshot) == enforced
    assert isolated(snapshot, Extent.ALL) == {("a", "ingress"), ("a", "egress")}


@pytest.mark.parametrize("direction", list(Direction))
def test_a_side_is_judged_as_the_side_it_is(direction: Direction) -> None:
    snapshot = world(namespace("x"), A, policy("x/p", directions=INGRESS))
    side = Side(direction, PodEnd(A, A.addresses[0]), ExternalEnd(address("192.0.2.1")), WEB)
    decision = View(snapshot, Extent.ENFORCED).judge(side)
    assert decision.direction is direction
    assert decision.allowed is (direction is Direction.EGRESS)
    assert side.connection.protocol_port == WEB


def test_another_policy_takes_the_place_of_one_of_its_name_in_one_view_only() -> None:
    snapshot = world(namespace("x"), A, policy("x/p"), policy("x/other", "app=none"))
    side = Side(Direction.INGRESS, PodEnd(A, A.addresses[0]), ExternalEnd(address("192.0.2.1")), WEB)
    view = View(snapshot, Extent.ENFORCED)
    assert view.having(policy("x/p", ingress=[rule()])).judge(side).allowed
    assert view.having(policy("x/p", "app=none")).judge(side).reason is Reason.NOT_ISOLATED
    assert not view.judge(side).allowed
