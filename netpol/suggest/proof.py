"""The proof that policies to be added do what they are for, isolate nobody anew, and are needed to the last part."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from netpol.model.objects import Pod
from netpol.model.policies import Direction, Policy, PolicyRule
from netpol.model.snapshot import ObjectName, Snapshot
from netpol.model.treatment import Extent
from netpol.policy.judgement import Decision, PolicyReference
from netpol.policy.lookups import Lookups
from netpol.suggest.drafts import Document
from netpol.suggest.extents import Oracles, by_extent
from netpol.suggest.needs import Need


class Unproved(Exception):
    """A policy does not do what it is for, and must not be shown to anybody."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A policy to add, as the API has it and as it is judged, and what it is for."""

    document: Document
    policy: Policy
    needs: tuple[Need, ...]


def prove(suggestions: Sequence[Suggestion], snapshot: Snapshot, before: Oracles, pods: Collection[Pod]) -> None:
    """Unproved, unless the policies do what they should once they are added to the snapshot, of which the oracles are.

    `pods` are those that policies can isolate.
    """
    added = _by_name(each.policy for each in suggestions)
    if len(added) < len(suggestions) or added.keys() & snapshot.policies.keys():
        raise Unproved("a policy would take another's place")
    after = _oracles_of({**snapshot.policies, **added}, snapshot)
    _require_same_isolation(_selected(added.values(), pods), before, after)
    for suggestion in suggestions:
        if any(decision.allowed for decision in _answers(suggestion.needs, before)):
            raise Unproved(f"{suggestion.policy} is for what is allowed without it")
        if not all(decision.allowed for decision in _answers(suggestion.needs, after)):
            raise Unproved(f"{suggestion.policy} does not allow all that it is for")
    for divide in peer_by_peer, port_by_port:
        _require_every_part(suggestions, divide, snapshot)


def _by_name(policies: Iterable[Policy]) -> dict[ObjectName, Policy]:
    return {(policy.namespace, policy.name): policy for policy in policies}


def _oracles_of(policies: Mapping[ObjectName, Policy], snapshot: Snapshot) -> Oracles:
    """Those of the snapshot with these policies, and no others."""
    whole = replace(snapshot, policies=policies)
    return by_extent(whole, Lookups.of(whole))


def _answers(needs: Iterable[Need], oracles: Oracles) -> Iterator[Decision]:
    return (side.answer(oracles[need.wish.extent]) for need in needs for side in need.sides)


def _selected(policies: Iterable[Policy], pods: Iterable[Pod]) -> Iterator[tuple[Pod, Direction]]:
    """The pods that the policies select, and for what: no others can they isolate (V1)."""
    pods_by_namespace: dict[str, list[Pod]] = {}
    for pod in pods:
        pods_by_namespace.setdefault(pod.namespace, []).append(pod)
    for policy in policies:
        for pod in pods_by_namespace.get(policy.namespace, ()):
            if policy.pods.matches(pod.labels):
                yield from ((pod, direction) for direction in policy.directions)


def _require_same_isolation(selected: Iterable[tuple[Pod, Direction]], before: Oracles, after: Oracles) -> None:
    for pod, direction in selected:
        for extent in Extent:
            if before[extent].isolating(pod, direction):
                # The larger extent has all that the smaller one has (X16).
                break
            if after[extent].isolating(pod, direction):
                raise Unproved(f"{pod} would be isolated for {direction.value}")


# --- what each part is needed for

Divide = Callable[[PolicyRule], Iterable[PolicyRule]]
"""A rule as several, which together mean the same: it matches where any of its peers and any of its ports does (B7)."""


def peer_by_peer(rule: PolicyRule) -> tuple[PolicyRule, ...]:
    """A rule for each peer; the rule itself where it is for everybody, or for nobody."""
    return tuple(replace(rule, peers=(peer,)) for peer in rule.peers or ()) or (rule,)


def port_by_port(rule: PolicyRule) -> tuple[PolicyRule, ...]:
    """A rule for each port entry; the rule itself where it is for every port, or for none."""
    return tuple(replace(rule, ports=(port,)) for port in rule.ports or ()) or (rule,)


def divided(policy: Policy, divide: Divide) -> Policy:
    """A policy that means the same, with a rule for each part of its rules."""

    def parts(rules: Iterable[PolicyRule]) -> tuple[PolicyRule, ...]:
        every = (part for rule in rules for part in divide(rule))
        return tuple(replace(part, index=index) for index, part in enumerate(every))

    return replace(policy, ingress=parts(policy.ingress), egress=parts(policy.egress))


def _require_every_part(suggestions: Iterable[Suggestion], divide: Divide, snapshot: Snapshot) -> None:
    """Without a part, what nothing but that part allows is refused: it is no part that isolates.

    So one answer for each need tells of all parts, where leaving out each in turn would cost their product. No other
    policy need be there, as none allows any of it.
    """
    policies = [divided(each.policy, divide) for each in suggestions]
    alone = _oracles_of(_by_name(policies), snapshot)
    for suggestion, policy in zip(suggestions, policies, strict=True):
        needed = set(_indispensable(suggestion.needs, alone))
        for direction in Direction:
            for rule in policy.rules(direction):
                if (direction, PolicyReference.to(policy, rule.index)) not in needed:
                    raise Unproved(f"{policy} allows more than it is for")


def _indispensable(needs: Iterable[Need], oracles: Oracles) -> Iterator[tuple[Direction, PolicyReference]]:
    """The rules without which something would be refused, as no other allows it."""
    for decision in _answers(needs, oracles):
        if len(decision.policies) == 1:
            yield decision.direction, decision.policies[0]
