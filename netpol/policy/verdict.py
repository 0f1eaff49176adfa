"""The oracle: may this connection open, and why, straight from the rules of docs/semantics.md.

Each side of a connection is judged by an ordered list of tiers, of which the first that
has an answer decides (C1, C4); a side that none decides is open. What is under audit is
judged as if it were not there, and then, where that allows, as if it were enforced (X16).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from netpol.model.networks import Address
from netpol.model.objects import Namespace, Pod
from netpol.model.policies import Direction, PolicyRule, Semantics, Tier
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import Enforcement, Extent
from netpol.policy.ends import Ends
from netpol.policy.judgement import (
    AnnotationReference,
    Connection,
    Decision,
    End,
    NodeEnd,
    PodEnd,
    PolicyReference,
    Reason,
    Reference,
    Verdict,
)
from netpol.policy.lookups import Lookups
from netpol.policy.matching import rule_matches
from netpol.policy.nearest import nearest_miss


class Detail(enum.Enum):
    """How much of an answer is worked out."""

    REASONS = "reasons"
    """Everything but the nearest miss, which costs more than all the rest."""
    FULL = "full"
    """For a refusal, the rule that came closest too."""


@dataclass(frozen=True, slots=True)
class Question:
    """One side of a connection: may `pod` let it out, or in? `peer` is the other end."""

    direction: Direction
    pod: Pod
    peer: End
    connection: Connection
    detail: Detail


class TierJudge(Protocol):
    """A tier, which may have an answer for a side."""

    def decide(self, question: Question) -> Decision | None:
        """Its decision where it is final for this side; None where the next tier is asked (C2-C4)."""

    def isolating(self, pod: Pod, direction: Direction) -> tuple[Reference, ...]:
        """What of it makes it final for the pod and direction, whoever the peer is."""


class Oracle:
    """Answers for every connection between ends of one snapshot.

    With `lookups` that somebody keeps of the snapshot, an oracle costs what it is asked, and not the whole cluster.
    One of `Extent.ALL` answers as if everything under audit were enforced.
    """

    def __init__(self, snapshot: Snapshot, lookups: Lookups | None = None, *, extent: Extent = Extent.ENFORCED) -> None:
        lookups = Lookups.of(snapshot) if lookups is None else lookups
        self._ends = Ends(snapshot, lookups)
        self._tiers = _tiers(snapshot, lookups, extent)
        self._dry_run = None if extent is Extent.ALL else _DryRun(snapshot, lookups)

    def end_at(self, address: Address) -> End:
        """The newest actionable pod that holds the address (X1), else a node that has it, else the outside."""
        return self._ends.at(address)

    def ends_named(self, text: str) -> tuple[End, ...]:
        """The ends that `ns/pod`, `node/NAME` or an address stands for (`Ends.named`); UsageError where none."""
        return self._ends.named(text)

    def judge(self, connection: Connection, detail: Detail = Detail.REASONS) -> Verdict:
        """Both sides' answers, each whatever the other says (G1).

        Packets carry addresses, so a pod or an outsider stands for whoever holds its address by this snapshot (X1).
        """
        connection = self._between_holders(connection)
        return Verdict(
            egress=self._side(Direction.EGRESS, connection, detail),
            ingress=self._side(Direction.INGRESS, connection, detail),
        )

    def decide(self, direction: Direction, connection: Connection, detail: Detail = Detail.REASONS) -> Decision:
        """One side's answer, as `judge` has it."""
        return self._side(direction, self._between_holders(connection), detail)

    def isolating(self, pod: Pod, direction: Direction) -> tuple[Reference, ...]:
        """All that isolates the pod for the direction (V1, M4), also one that has no address yet."""
        return tuple(reference for tier in self._tiers for reference in tier.isolating(pod, direction))

    def _between_holders(self, connection: Connection) -> Connection:
        source, destination = self._held(connection.source), self._held(connection.destination)
        if source is connection.source and destination is connection.destination:
            return connection
        return replace(connection, source=source, destination=destination)

    def _held(self, end: End) -> End:
        if isinstance(end, NodeEnd):
            return end
        if isinstance(end, PodEnd) and self._ends.holder_of(end.address) is end.pod:
            return end
        return self._ends.at(end.address)

    def _side(self, direction: Direction, connection: Connection, detail: Detail) -> Decision:
        own, peer = connection.source, connection.destination
        if direction is Direction.INGRESS:
            own, peer = peer, own
        if not isinstance(own, PodEnd):
            return _OPEN[direction, Reason.NOT_A_POD]
        if isinstance(peer, PodEnd) and peer.pod is own.pod:
            return _OPEN[direction, Reason.OWN_ADDRESS]
        if direction is Direction.INGRESS and isinstance(peer, NodeEnd) and peer.node.name == own.pod.node:
            return _OPEN[direction, Reason.OWN_NODE]
        question = Question(direction, own.pod, peer, connection, detail)
        decision = _decide(self._tiers, question)
        if decision.allowed and self._dry_run is not None and self._dry_run.matters_to(own.pod):
            return replace(decision, would_deny=self._dry_run.refusal(question))
        return decision


class _DryRun:
    """What would become of connections if everything that is under audit were enforced (X16)."""

    def __init__(self, snapshot: Snapshot, lookups: Lookups) -> None:
        self._namespaces = snapshot.namespaces
        self._policies = lookups.policies_by_namespace
        self._tiers = _tiers(snapshot, lookups, Extent.ALL)
        self._audited: dict[str, bool] = {}

    def matters_to(self, pod: Pod) -> bool:
        """False where nothing in the pod's namespace is under audit, as in most."""
        audited = self._audited.get(pod.namespace)
        if audited is None:
            audited = self._audited[pod.namespace] = self._is_audited(pod.namespace)
        return audited

    def refusal(self, question: Question) -> Decision | None:
        """The refusal of this side; None where it would be allowed."""
        decision = _decide(self._tiers, question)
        return None if decision.allowed else decision

    def _is_audited(self, name: str) -> bool:
        namespace = self._namespaces.get(name)
        stated = [policy.enforcement for policy in self._policies.get(name, {}).values()]
        return Enforcement.AUDIT in stated or (namespace is not None and namespace.enforcement is Enforcement.AUDIT)


def _tiers(snapshot: Snapshot, lookups: Lookups, extent: Extent) -> tuple[TierJudge, ...]:
    """The tiers that judge, in the order of Tier (C1)."""
    judges: dict[Tier, TierJudge] = {Tier.NETWORK_POLICY: NetworkPolicyTier(snapshot, lookups, extent)}
    return tuple(judges[tier] for tier in Tier if tier in judges)


def _decide(tiers: tuple[TierJudge, ...], question: Question) -> Decision:
    for tier in tiers:
        decision = tier.decide(question)
        if decision is not None:
            return decision
    return _OPEN[question.direction, Reason.NOT_ISOLATED]


def no_common_family(connection: Connection) -> Verdict:
    """The verdict where the ends have no address family in common: refused by whichever of them is a pod (G1)."""

    def side(direction: Direction, own: End) -> Decision:
        if not isinstance(own, PodEnd):
            return _OPEN[direction, Reason.NOT_A_POD]
        return Decision(direction, allowed=False, reason=Reason.NO_COMMON_FAMILY)

    return Verdict(
        egress=side(Direction.EGRESS, connection.source), ingress=side(Direction.INGRESS, connection.destination)
    )


_OPEN = {
    (direction, reason): Decision(direction, allowed=True, reason=reason)
    for direction in Direction
    for reason in (Reason.NOT_A_POD, Reason.OWN_ADDRESS, Reason.OWN_NODE, Reason.NOT_ISOLATED)
}


@dataclass(frozen=True, slots=True)
class AppliedRules:
    """What isolates one pod for one direction, and every rule that may allow something there."""

    isolating: tuple[Reference, ...]
    rules: tuple[tuple[PolicyReference, PolicyRule], ...]


class NetworkPolicyTier:
    """The tier of NetworkPolicies of both semantics and of the DefaultDeny annotation, judged together (M1, M4).

    It is final for a pod and a direction iff the pod is isolated for it (C4).
    """

    def __init__(self, snapshot: Snapshot, lookups: Lookups | None = None, extent: Extent = Extent.ENFORCED) -> None:
        self._namespaces = snapshot.namespaces
        self._policies = (Lookups.of(snapshot) if lookups is None else lookups).policies_by_namespace
        self._extent = extent
        self._applied: dict[tuple[Direction, str, frozenset[tuple[str, str]]], AppliedRules] = {}

    def decide(self, question: Question) -> Decision | None:
        """Allowed iff some rule that applies allows it; None where nothing isolates the pod (V1)."""
        applied = self._rules_for(question.pod, question.direction)
        if not applied.isolating:
            return None
        peer, connection = question.peer, question.connection
        allowing = tuple(
            reference for reference, rule in applied.rules if rule_matches(rule, peer, connection, self._namespaces)
        )
        if allowing:
            return Decision(
                question.direction, allowed=True, reason=Reason.RULE, policies=allowing, isolating=applied.isolating
            )
        miss = (
            nearest_miss(applied.rules, peer, connection, self._namespaces) if question.detail is Detail.FULL else None
        )
        return Decision(
            question.direction,
            allowed=False,
            reason=Reason.IMPLICIT_ISOLATION,
            isolating=applied.isolating,
            nearest_miss=miss,
        )

    def isolating(self, pod: Pod, direction: Direction) -> tuple[Reference, ...]:
        """The annotation and the policies that isolate the pod (V1, M4)."""
        return self._rules_for(pod, direction).isolating

    def _rules_for(self, pod: Pod, direction: Direction) -> AppliedRules:
        """The same for all pods of a namespace that have the same labels, as replicas have."""
        key = direction, pod.namespace, frozenset(pod.labels.items())
        applied = self._applied.get(key)
        if applied is None:
            applied = self._applied[key] = self._apply(pod, direction)
        return applied

    def _apply(self, pod: Pod, direction: Direction) -> AppliedRules:
        """The annotation isolates for ingress and lets beta policies count; v1 policies do both by themselves (M4).

        All of them count by the extent only (X16). A namespace that is not known has no annotation (X2).
        """
        namespace = self._namespaces.get(pod.namespace) or Namespace(pod.namespace)
        counts = partial(self._extent.includes, namespace.enforcement)
        annotated = direction is Direction.INGRESS and namespace.default_deny and counts()
        applying = [
            policy
            for _, policy in sorted(self._policies.get(pod.namespace, {}).items())
            if direction in policy.directions
            and (policy.semantics is Semantics.V1 or annotated)
            and counts(policy.enforcement)
            and policy.pods.matches(pod.labels)
        ]
        annotation: list[Reference] = [AnnotationReference(pod.namespace)] if annotated else []
        return AppliedRules(
            isolating=(
                *annotation,
                *(PolicyReference.to(policy) for policy in applying if policy.semantics is Semantics.V1),
            ),
            rules=tuple(
                (PolicyReference.to(policy, rule.index), rule)
                for policy in applying
                for rule in policy.rules(direction)
            ),
        )
