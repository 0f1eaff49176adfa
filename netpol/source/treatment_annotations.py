"""The annotations that say how verdicts are carried out and recorded (X16, X17)."""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

from netpol.model.treatment import (
    AUDIT_ANNOTATION,
    DENY_ACTION_ANNOTATION,
    ENFORCEMENT_ANNOTATION,
    AuditLevel,
    DenyAction,
    Enforcement,
)
from netpol.source.fields import FieldPath, Fields, Reading, shown

ANNOTATIONS: FieldPath = ("metadata", "annotations")

Word = TypeVar("Word", bound=Enum)


def read_enforcement(annotations: Fields, reading: Reading) -> Enforcement:
    """What the annotation says; enforced where there is none, or one that says neither, which is a problem (M7)."""
    found = _word(annotations, ENFORCEMENT_ANNOTATION, Enforcement, "it is enforced", reading)
    return found or Enforcement.ENFORCE


def read_audit(annotations: Fields, reading: Reading) -> AuditLevel | None:
    """What is recorded, where the annotation says it."""
    return _word(annotations, AUDIT_ANNOTATION, AuditLevel, "the flags decide", reading)


def read_deny_action(annotations: Fields, reading: Reading) -> DenyAction | None:
    """What becomes of refused packets, where the annotation says it."""
    return _word(annotations, DENY_ACTION_ANNOTATION, DenyAction, "the flags decide", reading)


def _word(annotations: Fields, name: str, words: type[Word], otherwise: str, reading: Reading) -> Word | None:
    """The member that the annotation names; None where it names none, with a problem unless it is absent."""
    value = annotations.get(name)
    if value is None:
        return None
    try:
        return words(value)
    except ValueError:
        known = " or ".join(str(word.value) for word in words)
        reading.wrong((*ANNOTATIONS, name), f"must be {known}, not {shown(value)}; {otherwise}")
        return None
