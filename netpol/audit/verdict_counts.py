"""How many packets met which verdict, by which policy, as the agent's metrics count them."""

from __future__ import annotations

from netpol.audit.record import PodParty, PolicyEntry, Record
from netpol.telemetry.metrics import Metrics

SEVERAL = "(several)"
"""The label of verdicts that more than one policy leads to; no object can have this name."""

_NAMESPACED = "NetworkPolicy"


def count_record(metrics: Metrics, record: Record) -> None:
    """The record's packets are counted by verdict, the subject's namespace and the policy; those lost are not."""
    if not record.count:
        return
    namespace = record.subject.namespace if isinstance(record.subject, PodParty) else ""
    labels = metrics.audit_policy_labels.bounded(namespace, policy_label(record.policies or record.isolating))
    metrics.audit_packets.labels(record.action.value, record.reason.value, *labels).inc(record.count)


def policy_label(entries: tuple[PolicyEntry, ...]) -> str:
    """The one policy that the entries are of: a NetworkPolicy's name; others with their kind, "" for none.

    >>> policy_label((PolicyEntry("NetworkPolicy", "web", "allow"), PolicyEntry("NetworkPolicy", "web", "default")))
    '(several)'
    """
    labels = {_label(entry) for entry in entries}
    return SEVERAL if len(labels) > 1 else next(iter(labels), "")


def _label(entry: PolicyEntry) -> str:
    if entry.annotation is not None:
        return entry.kind  # the namespace's name says no more than the label beside it
    return entry.name if entry.kind == _NAMESPACED else f"{entry.kind}/{entry.name}"
