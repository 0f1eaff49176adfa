"""What records of a log come to, in the cluster as it is."""

from __future__ import annotations

import msgspec
import pytest
from audit_records import refusal
from builders import namespace, node, pod, policy, rule, world

from netpol.audit.record import Action, Cause, ExternalParty, NodeParty, PodParty, Record
from netpol.model.policies import Direction
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import Extent
from netpol.policy.ends import Ends
from netpol.policy.judgement import PodEnd
from netpol.policy.lookups import Lookups
from netpol.suggest.extents import by_extent
from netpol.suggest.needs import PORTLESS, Needs, Tally, needs_of, refusal_of
from netpol.suggest.workloads import Workload, Workloads

WEB = "Deployment/web"
A = PodParty("x", "a", "uid-of-x-a", "10.0.0.1", WEB)
B = PodParty("y", "b", "uid-of-y-b", "10.0.1.1", "")
CLOSED = (
    namespace("x"),
    namespace("y"),
    pod("x/a", "10.0.0.1", labels="app=web", workload=WEB),
    pod("x/a2", "10.0.0.2", labels="app=web", workload=WEB),
    pod("y/b", "10.0.1.1", labels="app=b"),
    node("n1", "192.0.2.1"),
    policy("x/closed"),
)


def needs(*records: Record, snapshot: Snapshot | None = None) -> Needs:
    snapshot = world(*CLOSED) if snapshot is None else snapshot
    lookups = Lookups.of(snapshot)
    return needs_of(records, Workloads(snapshot, lookups), Ends(snapshot, lookups), by_extent(snapshot, lookups))


def test_records_of_one_workload_peer_and_port_are_one_need() -> None:
    other = PodParty("x", "a2", "uid-of-x-a2", "10.0.0.2", WEB)
    found = needs(refusal(A, B, count=3), refusal(A, B, count=4), refusal(other, B, count=5))
    [need] = found.refused
    assert need.tally == Tally(3, 12)
    assert [str(side.subject) for side in need.sides] == ["x/a", "x/a2"]
    assert (str(need.wish.subject), str(need.wish.partner), str(need.wish.port)) == (
        "x/Deployment/web",
        "y/b",
        "80/TCP",
    )
    assert (need.wish.direction, need.wish.extent) == (Direction.INGRESS, Extent.ENFORCED)
    assert (found.allowed, found.gone, found.passed_over) == (Tally(), {}, {})


def test_peers_ports_and_directions_are_told_apart() -> None:
    snapshot = world(*CLOSED, policy("x/shut", directions=frozenset(Direction)))
    records = [
        *(refusal(A, B, port) for port in (80, 81)),
        refusal(A, B, 80, "UDP"),
        refusal(A, B, direction=Direction.EGRESS),
        refusal(A, ExternalParty("198.51.100.1")),
    ]
    assert len(needs(*records, snapshot=snapshot).refused) == len(records)


@pytest.mark.parametrize(
    ("port", "protocol"), [(None, "ICMP"), (None, "ICMPv6"), (None, "47"), (0, "TCP"), (None, "TCP"), (80, "DCCP")]
)
def test_g10_what_no_port_entry_names_needs_a_rule_without_ports(port: int | None, protocol: str) -> None:
    [need] = needs(refusal(A, B, port, protocol)).refused
    assert need.wish.port == PORTLESS


@pytest.mark.parametrize(
    "record",
    [
        *(refusal(A, B, reason=cause) for cause in Cause if cause is not Cause.IMPLICIT_ISOLATION),
        *(refusal(A, B, action=action) for action in (Action.ALLOW, Action.UNKNOWN)),
        Record.of_lost("2026-01-01T00:00:00.000000Z", "n1", 7),
        refusal(None, B),
        refusal(A, None),
        refusal(ExternalParty("198.51.100.1"), B),
        refusal(A, B, protocol=None),
        msgspec.structs.replace(refusal(A, B), direction="sideways"),
    ],
)
def test_what_no_policy_could_allow_is_counted_by_its_reason(record: Record) -> None:
    found = needs(record)
    assert found.passed_over == {record.reason.value: Tally(1, record.count)}
    assert (found.refused, found.gone, found.allowed) == ((), {}, Tally())


def test_what_is_allowed_by_now_is_counted() -> None:
    snapshot = world(*CLOSED, policy("x/open", ingress=[rule(ports=["80/TCP"])]))
    found = needs(refusal(A, B, count=9), refusal(A, B, 81), snapshot=snapshot)
    assert found.allowed == Tally(1, 9)
    assert [str(need.wish.port) for need in found.refused] == ["81/TCP"]


@pytest.mark.parametrize("action", [Action.DENY, Action.WOULD_DENY])
def test_x16_the_policies_of_now_tell_whether_it_is_refused_or_would_be(action: Action) -> None:
    dry = world(*CLOSED[:-1], policy("x/closed", under_audit=True))
    assert [need.wish.extent for need in needs(refusal(A, B, action=action), snapshot=dry).refused] == [Extent.ALL]
    assert [need.wish.extent for need in needs(refusal(A, B, action=action)).refused] == [Extent.ENFORCED]


@pytest.mark.parametrize(
    ("peer", "line"),
    [
        (PodParty("y", "c", "", "10.0.1.9", "Deployment/c"), "y/c is gone, and no other pod of its workload is there"),
        (PodParty("y", "b", "former", "10.0.1.1", ""), "y/b is gone, and no other pod of its workload is there"),
        (ExternalParty("10.0.1.1"), "10.0.1.1 is y/b by now"),
        (ExternalParty("192.0.2.1"), "192.0.2.1 is node/n1 by now"),
        (NodeParty("n2", "192.0.2.1"), "192.0.2.1 is node/n1 by now"),
        (NodeParty("n1", "192.0.2.9"), "192.0.2.9 is outside the cluster by now"),
        (ExternalParty("nowhere"), "'nowhere' is no address"),
    ],
)
def test_an_end_that_is_not_what_it_was_is_told(peer: PodParty | NodeParty | ExternalParty, line: str) -> None:
    found = needs(refusal(A, peer, count=2))
    [(told, tally)] = found.gone.items()
    assert told.endswith(f" on 80/TCP: {line}")
    assert told.startswith("x/a ingress from ")
    assert tally == Tally(1, 2)
    assert found.refused == ()


def test_addresses_of_nodes_and_of_the_outside_are_partners() -> None:
    found = needs(refusal(A, NodeParty("n1", "192.0.2.1")), refusal(A, ExternalParty("198.51.100.1")))
    assert [str(need.wish.partner) for need in found.refused] == ["192.0.2.1", "198.51.100.1"]


def test_no_pod_stands_for_both_ends() -> None:
    """A pod may always send to itself (G9), so that would look allowed."""
    gone = PodParty("x", "former", "uid-of-x-former", "10.0.0.7", WEB)
    first = PodParty("x", "a", "uid-of-x-a", "10.0.0.1", WEB)
    for subject, peer in ((gone, first), (first, gone)):
        [need] = needs(refusal(subject, peer)).refused
        [side] = need.sides
        assert isinstance(side.peer, PodEnd)
        assert {side.subject.pod.name, side.peer.pod.name} == {"a", "a2"}
        assert isinstance(need.wish.partner, Workload)
        assert need.wish.partner is need.wish.subject


def test_the_only_pod_of_a_workload_has_no_fellow_to_send_to() -> None:
    alone = world(namespace("x"), pod("x/a", "10.0.0.1", workload=WEB), policy("x/closed"))
    gone = PodParty("x", "former", "uid-of-x-former", "10.0.0.7", WEB)
    found = needs(refusal(A, gone), snapshot=alone)
    assert len(found.gone) == 1


def test_a_tally_reads_well() -> None:
    assert str(Tally(1, 1) + Tally(1, 2)) == "3 packets in 2 records"
    assert str(Tally(1, 1)) == "1 packet in 1 record"


def test_refusals_and_wishes_are_told_alike() -> None:
    record = refusal(A, B, 80, direction=Direction.EGRESS)
    assert str(refusal_of(record)) == "x/a egress to y/b on 80/TCP"
    closed = world(*CLOSED, policy("x/shut", directions=frozenset(Direction)))
    [wish] = (need.wish for need in needs(record, snapshot=closed).refused)
    assert str(wish) == "x/Deployment/web egress to y/b on 80/TCP"
    [portless] = (need.wish for need in needs(refusal(A, B, None, "ICMP")).refused)
    assert str(portless) == "x/Deployment/web ingress from y/b on what has no ports"
