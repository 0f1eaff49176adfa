"""Policies and rules as a program reads them, the same in `netpol explain` and in the audit log."""

from __future__ import annotations

from netpol.audit.record import ANNOTATION_KIND, MissEntry, PolicyEntry
from netpol.policy.judgement import AnnotationReference, NearestMiss, Reference


def policy_entry(reference: Reference) -> PolicyEntry:
    """The entry of a policy, of one of its rules, or of a namespace's annotation."""
    if isinstance(reference, AnnotationReference):
        return PolicyEntry(ANNOTATION_KIND, reference.name, reference.name, annotation=reference.annotation)
    return PolicyEntry(
        reference.kind, reference.namespace, reference.name, reference.uid, reference.generation, reference.rule
    )


def miss_entry(miss: NearestMiss) -> MissEntry:
    """The entry of the rule that came closest."""
    policy = miss.policy
    return MissEntry(
        *(policy.kind, policy.namespace, policy.name, policy.uid, policy.generation, policy.rule),
        lacked=tuple(lack.value for lack in miss.lacked),
        detail=miss.detail,
    )
