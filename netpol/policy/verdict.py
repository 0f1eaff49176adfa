"""The oracle: may this connection open, and why, straight from the rules of docs/semantics.md.

Each side of a connection is judged by an ordered list of tiers, of which the first that
has an answer decides (C1, C4); a side that none decides is open. What is under audit is
judged as if it were not there, and then, where that allows, as if it were enforced (X16).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, Self

from netpol.model.networks import Address
from netpol.model.objects import Namespace, Pod
from netpol.model.policies import Direction, Policy, PolicyRule, Semantics, Tier
from netpol.model.snapshot import ObjectName, Snapshot
from netpol.model.treatment import Extent
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
    extent: Extent = Extent.ENFORCED


class TierJudge(Protocol):
    """A tier: its decision where it is final for this side, None where the next tier is asked (C2-C4)."""

    def decide(self, question: Question) -> Decision | None: ...

    def withholds(self, question: Question) -> bool:
        """True where anything that applies to this side is under audit (X16)."""


class Oracle:
    """Answers for every connection between ends of one snapshot.

    With `lookups` that somebody keeps of the snapshot, an oracle costs what it is asked, and not the whole cluster.
    One of `Extent.ALL` answers as if everything under audit were enforced.
    """

    def __init__(self, snapshot: Snapshot, lookups: Lookups | None = None, *, extent: Extent = Extent.ENFORCED) -> None:
        lookups = Lookups.of(snapshot) if lookups is None else lookups
        self._extent = extent
        self._ends = Ends(snapshot, lookups)
        # C1: the tiers that judge, in the order of Tier. Admin and Baseline have no judge yet.
        judges: dict[Tier, TierJudge] = {Tier.NETWORK_POLICY: NetworkPolicyTier(snapshot, lookups)}
        self._tiers = tuple(judges[tier] for tier in Tier if tier in judges)

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
        question = Question(direction, own.pod, peer, connection, detail, self._extent)
        decision = self._decide(question)
        if self._extent is Extent.ALL or not decision.allowed:
            return decision
        if not any(tier.withholds(question) for tier in self._tiers):
            return decision
        enforcing = self._decide(replace(question, extent=Extent.ALL))
        return decision if enforcing.allowed else replace(decision, would_deny=enforcing)

    def _decide(self, question: Question) -> Decision:
        for tier in self._tiers:
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

    @classmethod
    def of(cls, annotations: Sequence[Reference], policies: Sequence[Policy], direction: Direction) -> Self:
        """What these annotations and policies, which all apply to the pod, come to."""
        v1 = (PolicyReference.to(policy) for policy in policies if policy.semantics is Semantics.V1)
        rules = ((PolicyReference.to(each, rule.index), rule) for each in policies for rule in each.rules(direction))
        return cls((*annotations, *v1), tuple(rules))


@dataclass(frozen=True, slots=True)
class RulesByExtent:
    """What applies to one pod for one direction: what is enforced, and everything; one object where they are equal."""

    enforced: AppliedRules
    everything: AppliedRules


class NetworkPolicyTier:
    """The tier of NetworkPolicies of both semantics and of the DefaultDeny annotation, judged together (M1, M4).

    It is final for a pod and a direction iff the pod is isolated for it (C4).
    """

    def __init__(self, snapshot: Snapshot, lookups: Lookups | None = None) -> None:
        self._namespaces = snapshot.namespaces
        self._policies = (Lookups.of(snapshot) if lookups is None else lookups).policies_by_namespace
        self._rules: dict[tuple[Direction, ObjectName], RulesByExtent] = {}

    def decide(self, question: Question) -> Decision | None:
        """Allowed iff some rule that applies allows it; None where nothing isolates the pod (V1)."""
        rules = self._rules_for(question)
        applied = rules.everything if question.extent is Extent.ALL else rules.enforced
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

    def withholds(self, question: Question) -> bool:
        """True where a policy that selects the pod for this direction, or the annotation, is under audit (X16)."""
        rules = self._rules_for(question)
        return rules.enforced is not rules.everything

    def _rules_for(self, question: Question) -> RulesByExtent:
        pod = question.pod
        key = question.direction, (pod.namespace, pod.name)
        rules = self._rules.get(key)
        if rules is None:
            rules = self._rules[key] = self._apply(pod, question.direction)
        return rules

    def _apply(self, pod: Pod, direction: Direction) -> RulesByExtent:
        """The annotation isolates for ingress and lets beta policies count; v1 policies do both by themselves (M4).

        A namespace that is not known has no annotation (X2).
        """
        namespace = self._namespaces.get(pod.namespace) or Namespace(pod.namespace)
        annotated = direction is Direction.INGRESS and namespace.default_deny
        annotations = [AnnotationReference(pod.namespace)] if annotated else []
        policies = [
            policy
            for _, policy in sorted(self._policies.get(pod.namespace, {}).items())
            if direction in policy.directions
            and (policy.semantics is Semantics.V1 or annotated)
            and policy.pods.matches(pod.labels)
        ]
        is_enforced = partial(Extent.ENFORCED.includes, namespace.enforcement)
        in_force = annotations if is_enforced() else [], [each for each in policies if is_enforced(each.enforcement)]
        everything = AppliedRules.of(annotations, policies, direction)
        if in_force == (annotations, policies):
            return RulesByExtent(everything, everything)
        return RulesByExtent(AppliedRules.of(*in_force, direction), everything)
