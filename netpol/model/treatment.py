"""How the verdicts on a pod are carried out and recorded, as annotations and flags say it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

ENFORCEMENT_ANNOTATION = "netpol.io/enforcement"
AUDIT_ANNOTATION = "netpol.io/audit"
DENY_ACTION_ANNOTATION = "netpol.io/deny-action"


class Enforcement(enum.Enum):
    """Whether a policy is carried out; the values are the annotation's words."""

    ENFORCE = "enforce"
    AUDIT = "audit"
    """It neither isolates nor allows: what it would refuse passes, and is recorded (X16)."""


class Extent(enum.Enum):
    """Which policies are looked at."""

    ENFORCED = "enforced"
    """Those that are carried out: what happens to packets."""
    ALL = "all"
    """Those under audit too, as if each were enforced: what would happen."""

    def includes(self, *stated: Enforcement) -> bool:
        """True where a policy is looked at of which it and its namespace state this (X16).

        >>> Extent.ENFORCED.includes(Enforcement.ENFORCE, Enforcement.AUDIT)
        False
        """
        return self is Extent.ALL or Enforcement.AUDIT not in stated


class AuditLevel(enum.Enum):
    """Which verdicts on a pod are recorded; the values are the annotation's words."""

    NONE = "none"
    DENIES = "deny"
    """What was refused, and what would be (X16)."""
    ALLOWS = "allow"
    """Also what opened a connection by a rule."""


class DenyAction(enum.Enum):
    """What becomes of a refused packet; the values are the annotation's words."""

    DROP = "drop"
    REJECT = "reject"
    """The client is told at once: by a reset in TCP, by an ICMP error else."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """What the verdicts on one pod lead to beside the verdict itself."""

    audit: AuditLevel = AuditLevel.DENIES
    deny_action: DenyAction = DenyAction.DROP
