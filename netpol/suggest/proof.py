"""The proof that policies to be added do what they are for, isolate nobody anew, and are needed to the last part."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from netpol.model.objects import Pod
from netpol.model.policies import Direction, Policy, PolicyRule
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import Extent
from netpol.suggest.drafts import Document
from netpol.suggest.extents import View
from netpol.suggest.needs import Need


class Unproved(Exception):
    """A policy does not do what it is for, and must not be shown to anybody."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A policy to add, as the API has it and as it is judged, and what it is for."""

    document: Document
    policy: Policy
    needs: tuple[Need, ...]


Views = Mapping[Extent, View]


def prove(suggestions: Sequence[Suggestion], snapshot: Snapshot, before: Views, pods: Collection[Pod]) -> None:
    """Unproved, unless the policies do what they should once they are added to the snapshot, of which the views are.

    `pods` are those that policies can isolate.
    """
    added = {(each.policy.namespace, each.policy.name): each.policy for each in suggestions}
    if len(added) < len(suggestions) or added.keys() & snapshot.policies.keys():
        raise Unproved("a policy would take another's place")
    whole = replace(snapshot, policies={**snapshot.policies, **added})
    after = {extent: View(whole, extent) for extent in Extent}
    for suggestion in suggestions:
        _require_same_isolation(_selected(suggestion.policy, pods), before, after)
        if not _meets(after, suggestion.needs):
            raise Unproved(f"{suggestion.policy} does not allow all that it is for")
        for lesser in lesser_policies(suggestion.policy):
            if _meets({extent: view.having(lesser) for extent, view in after.items()}, suggestion.needs):
                raise Unproved(f"{suggestion.policy} allows more than it is for")


def lesser_policies(policy: Policy) -> Iterator[Policy]:
    """The policy without one of its rules, or without one of the peers or ports of a rule."""
    for direction in policy.directions:
        rules = policy.rules(direction)
        for index, rule in enumerate(rules):
            for lesser in ((), *((each,) for each in _lesser_rules(rule))):
                yield _with_rules(policy, direction, (*rules[:index], *lesser, *rules[index + 1 :]))


def _lesser_rules(rule: PolicyRule) -> Iterator[PolicyRule]:
    """An empty tuple matches nothing: the last peer or port taken away makes no rule for everybody."""
    for peer in rule.peers or ():
        yield replace(rule, peers=tuple(each for each in rule.peers or () if each is not peer))
    for port in rule.ports or ():
        yield replace(rule, ports=tuple(each for each in rule.ports or () if each is not port))


def _with_rules(policy: Policy, direction: Direction, rules: tuple[PolicyRule, ...]) -> Policy:
    return replace(policy, ingress=rules) if direction is Direction.INGRESS else replace(policy, egress=rules)


def _meets(views: Views, needs: Iterable[Need]) -> bool:
    return all(views[need.wish.extent].judge(side).allowed for need in needs for side in need.sides)


def _selected(policy: Policy, pods: Iterable[Pod]) -> Iterator[Pod]:
    """The pods that the policy selects: no others can it isolate (V1)."""
    return (pod for pod in pods if pod.namespace == policy.namespace and policy.pods.matches(pod.labels))


def _require_same_isolation(pods: Iterable[Pod], before: Views, after: Views) -> None:
    for pod in pods:
        for extent in Extent:
            for direction in Direction:
                if before[extent].isolates(pod, direction) is not after[extent].isolates(pod, direction):
                    raise Unproved(f"{pod} would be isolated for {direction.value}")
