"""What one state of the cluster has to say of a logged packet; `test_judge` has the records that come of it."""

from __future__ import annotations

import pytest
from builders import address, namespace, node, pod, policy
from history import NODE, Told

from netpol.audit.capture.packet import Packet
from netpol.audit.findings import Finding, explained, protocol_of, unexplained
from netpol.audit.parties import pod_party
from netpol.audit.record import Cause, ExternalParty
from netpol.compiler.log_points import LoggedOutcome, LogPoint, pod_digest
from netpol.model.policies import Direction
from netpol.model.ports import OtherProtocol, Protocol
from netpol.policy.judgement import PolicyReference

DB = pod("shop/db", "10.0.0.2", node=NODE)
CLUSTER = (namespace("shop"), DB, node(NODE, "192.168.0.1", pod_cidrs=["10.0.0.0/24"]))
CLOSED = policy("shop/closed")
TO_DB = Packet(address("8.8.8.8"), address("10.0.0.2"), 6, 40000, 80)
DB_PARTY, OUTSIDER = pod_party(DB, TO_DB.destination), ExternalParty("8.8.8.8")
DENIED = LogPoint(LoggedOutcome.DENIED, Direction.INGRESS, pod_digest("shop", "db"))


@pytest.mark.parametrize(
    ("source", "number", "protocol"),
    [
        ("10.0.0.1", 6, Protocol.TCP),
        ("fd00::1", 17, Protocol.UDP),
        ("10.0.0.1", 132, Protocol.SCTP),
        ("10.0.0.1", 1, Protocol.ICMP),
        ("fd00::1", 58, Protocol.ICMP),
        ("fd00::1", 1, OtherProtocol(1)),
        ("10.0.0.1", 58, OtherProtocol(58)),
        ("10.0.0.1", 0, OtherProtocol(0)),
    ],
)
def test_g10_icmp_is_that_of_the_packets_own_family(
    source: str, number: int, protocol: Protocol | OtherProtocol
) -> None:
    assert protocol_of(Packet(address(source), address(source), number)) == protocol


def test_a_state_that_leads_to_the_verdict_explains_it() -> None:
    found = explained(DENIED, TO_DB, Told(*CLUSTER, CLOSED).at(1))
    isolating = (PolicyReference.to(CLOSED),)
    assert found == Finding(Cause.IMPLICIT_ISOLATION, Direction.INGRESS, DB_PARTY, OUTSIDER, isolating=isolating)


@pytest.mark.parametrize(
    "point",
    [
        DENIED,
        LogPoint(LoggedOutcome.ALLOWED, Direction.INGRESS, pod_digest("shop", "db")),
        LogPoint(LoggedOutcome.WOULD_BE_DENIED, Direction.INGRESS, pod_digest("shop", "db")),
        LogPoint(LoggedOutcome.MIDSTREAM),
        LogPoint(LoggedOutcome.CUT),
        LogPoint(LoggedOutcome.UNKNOWN_ADDRESS),
        LogPoint(LoggedOutcome.TUNNELLED),
    ],
    ids=lambda point: point.outcome.value,
)
def test_a_state_that_leads_elsewhere_explains_nothing(point: LogPoint) -> None:
    assert explained(point, TO_DB, Told(*CLUSTER).at(1)) is None


@pytest.mark.parametrize(
    ("point", "finding"),
    [
        (DENIED, Finding(Cause.UNKNOWN, Direction.INGRESS, DB_PARTY, OUTSIDER)),
        (LogPoint(LoggedOutcome.CUT), Finding(Cause.INVALID, None, OUTSIDER, DB_PARTY)),
        (LogPoint(LoggedOutcome.TUNNELLED), Finding(Cause.INVALID, None, OUTSIDER, DB_PARTY)),
        (LogPoint(LoggedOutcome.MIDSTREAM), Finding(Cause.INVALID, None, OUTSIDER, DB_PARTY)),
        (LogPoint(LoggedOutcome.UNKNOWN_ADDRESS), Finding(Cause.UNKNOWN_POD, None, OUTSIDER, DB_PARTY)),
        (None, Finding(Cause.UNKNOWN, None, OUTSIDER, DB_PARTY)),
    ],
)
def test_without_an_explanation_the_log_point_says_what_is_certain(point: LogPoint | None, finding: Finding) -> None:
    assert unexplained(point, TO_DB, Told(*CLUSTER).at(1)) == finding
