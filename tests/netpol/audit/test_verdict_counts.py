"""What the metrics tell of verdicts."""

from __future__ import annotations

import msgspec
import pytest
from outlets import FRONT, NODE, OUTSIDE, records

from netpol.audit.record import Action, Cause, PolicyEntry, Record
from netpol.audit.verdict_counts import count_record, policy_label
from netpol.telemetry.metrics import MOST_AUDITED_POLICIES, Metrics

ALLOW = PolicyEntry("NetworkPolicy", "web", "allow", "u2", 3, rule=0)
DENY = PolicyEntry("NetworkPolicy", "web", "deny", "u3", 1)


def counted(metrics: Metrics, *labels: str) -> float | None:
    return metrics.registry.get_sample_value(
        "netpol_audit_packets_total", dict(zip(("action", "reason", "namespace", "policy"), labels, strict=True))
    )


def refused(*isolating: PolicyEntry, count: int = 1) -> Record:
    return msgspec.structs.replace(records(1)[0], isolating=isolating, count=count)


def test_packets_are_counted_by_verdict_namespace_and_policy() -> None:
    metrics = Metrics()
    count_record(metrics, refused(DENY, count=3))
    count_record(metrics, refused(DENY, count=4))
    count_record(
        metrics, msgspec.structs.replace(refused(DENY), policies=(ALLOW,), action=Action.ALLOW, reason=Cause.RULE)
    )

    assert counted(metrics, "deny", "implicit-isolation", "web", "deny") == 7
    assert counted(metrics, "allow", "rule", "web", "allow") == 1


def test_who_is_no_pod_has_no_namespace() -> None:
    metrics = Metrics()
    for subject in (OUTSIDE, None):
        count_record(metrics, msgspec.structs.replace(refused(), subject=subject, reason=Cause.UNKNOWN_POD))

    assert counted(metrics, "deny", "unknown-pod", "", "") == 2


def test_what_is_lost_is_not_counted_as_a_verdict() -> None:
    metrics = Metrics()
    count_record(metrics, Record.of_lost("2026-01-02T03:04:05.000000Z", NODE, 9))

    [family] = metrics.audit_packets.collect()
    assert family.samples == []


@pytest.mark.parametrize(
    ("entries", "label"),
    [
        ((), ""),
        ((DENY,), "deny"),
        ((ALLOW, msgspec.structs.replace(ALLOW, rule=1)), "allow"),
        ((ALLOW, DENY), "(several)"),
        ((PolicyEntry("DefaultDenyAnnotation", "web", "web", annotation="DefaultDeny"),), "DefaultDenyAnnotation"),
        ((PolicyEntry("ClusterNetworkPolicy", "", "deny", "u4", 1),), "ClusterNetworkPolicy/deny"),
    ],
)
def test_a_policy_is_named_where_it_is_one(entries: tuple[PolicyEntry, ...], label: str) -> None:
    assert policy_label(entries) == label


def test_beyond_the_bound_all_policies_are_one_series() -> None:
    metrics = Metrics()
    for number in range(MOST_AUDITED_POLICIES + 50):
        count_record(metrics, refused(msgspec.structs.replace(DENY, name=f"deny-{number}")))
    count_record(metrics, refused(msgspec.structs.replace(DENY, name="deny-0")))

    assert counted(metrics, "deny", "implicit-isolation", "(other)", "(other)") == 50
    assert counted(metrics, "deny", "implicit-isolation", "web", "deny-0") == 2
    [family] = metrics.audit_packets.collect()
    assert len(family.samples) == MOST_AUDITED_POLICIES + 1


def test_the_subject_names_the_namespace_not_the_policy() -> None:
    metrics = Metrics()
    count_record(metrics, msgspec.structs.replace(refused(DENY), subject=msgspec.structs.replace(FRONT, namespace="x")))

    assert counted(metrics, "deny", "implicit-isolation", "x", "deny") == 1
