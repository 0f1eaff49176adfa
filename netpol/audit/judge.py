"""What became of a packet that the kernel logged, and why, by the cluster as it was at that moment.

The verdict is the kernel's, by the rule that logged the packet. The oracle explains it; where
it comes to another verdict in every state of the cluster near that moment, the record says
that the reason is unknown.
"""

from __future__ import annotations

from netpol.audit.capture.folding import Fold
from netpol.audit.entries import miss_entry, policy_entry
from netpol.audit.findings import Finding, explained, protocol_of, unexplained
from netpol.audit.history.chronicle import Chronicle
from netpol.audit.history.world import World
from netpol.audit.parties import namespace_of
from netpol.audit.record import Action, Record
from netpol.compiler.log_points import LoggedOutcome, LogPoint
from netpol.model.moments import Moment, rfc3339
from netpol.model.treatment import AuditLevel
from netpol.settings import NodeOptions

_ACTIONS = {
    LoggedOutcome.DENIED: Action.DENY,
    LoggedOutcome.WOULD_BE_DENIED: Action.WOULD_DENY,
    LoggedOutcome.ALLOWED: Action.ALLOW,
    LoggedOutcome.MIDSTREAM: Action.DENY,
    LoggedOutcome.CUT: Action.DENY,
    LoggedOutcome.UNKNOWN_ADDRESS: Action.DENY,
    LoggedOutcome.TUNNELLED: Action.DENY,
}


class Judge:
    """Makes records of folds, by what the chronicle is told; asked and told by one thread."""

    def __init__(self, chronicle: Chronicle, options: NodeOptions) -> None:
        self._chronicle = chronicle
        self._node = options.name

    def record(self, fold: Fold, now: Moment) -> Record | None:
        """The record of the fold; None where nothing is recorded of the subject (X17)."""
        point = LogPoint.parse(fold.prefix)
        finding, world = self._find(point, fold)
        if world.audit_level(namespace_of(finding.subject)) is AuditLevel.NONE:
            return None
        packet = fold.packet
        return Record(
            ts=rfc3339(now),
            node=self._node,
            action=Action.UNKNOWN if point is None else _ACTIONS[point.outcome],
            reason=finding.reason,
            direction=None if finding.direction is None else finding.direction.value,
            subject=finding.subject,
            peer=finding.peer,
            protocol=protocol_of(packet).value,
            src_port=packet.source_port,
            dst_port=packet.destination_port,
            icmp_type=packet.icmp_type,
            policies=tuple(map(policy_entry, finding.policies)),
            isolating=tuple(map(policy_entry, finding.isolating)),
            nearest_miss=None if finding.nearest_miss is None else miss_entry(finding.nearest_miss),
            count=fold.count,
            first=rfc3339(fold.first),
            last=rfc3339(fold.last),
        )

    def _find(self, point: LogPoint | None, fold: Fold) -> tuple[Finding, World]:
        """What led to the verdict in the nearest state that explains it, else what is certain anyway; and the state."""
        if point is not None:
            for world in self._chronicle.near(fold.first):
                finding = explained(point, fold.packet, world)
                if finding is not None:
                    return finding, world
        world = self._chronicle.at(fold.first)
        return unexplained(point, fold.packet, world), world
