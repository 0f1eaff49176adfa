"""The fewest labels by which a selector names some pods of a namespace and none of its others."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import combinations

from netpol.model.labels import Labels
from netpol.source.selectors import is_label_key, is_label_value

PASSING_LABELS = frozenset(
    {
        "pod-template-hash",
        "controller-revision-hash",
        "pod-template-generation",
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
        "controller-uid",
        "job-name",
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-name",
        "batch.kubernetes.io/job-completion-index",
    }
)
"""Labels that controllers put on pods, and that another roll-out, run or replica of the same workload has not."""

_FAVOURED = ("app.kubernetes.io/name", "app", "k8s-app", "name", "app.kubernetes.io/component", "component")
"""Keys that say what a workload is; of equally short choices people would take the one with these."""

_MOST_TRIED = 3
"""Up to so many labels every choice is tried; a choice of more is one that no label can be taken from."""


def lasting_labels(labels: Labels) -> Labels:
    """The labels that tell what a pod is, and not which one of a controller's pods; none that no selector can hold.

    >>> lasting_labels({"app": "web", "pod-template-hash": "5d9c"})
    {'app': 'web'}
    """
    return {
        key: value
        for key, value in labels.items()
        if key not in PASSING_LABELS and is_label_key(key) and is_label_value(value)
    }


def distinguishing_labels(members: Collection[Labels], others: Iterable[Labels]) -> Labels | None:
    """The fewest lasting labels, but one at least, that all members have and none of the others; None where none do.

    No labels at all would select every pod that is ever made in the namespace.

    >>> distinguishing_labels([{"app": "web", "tier": "front"}], [{"app": "web", "tier": "back"}])
    {'tier': 'front'}
    """
    shared = frozenset.intersection(*(frozenset(lasting_labels(each).items()) for each in members))
    ranked = sorted(shared, key=_rank)
    rivals = _largest(shared.intersection(other.items()) for other in others)
    if not ranked or shared in rivals:
        return None
    for size in range(1, min(_MOST_TRIED, len(ranked)) + 1):
        for choice in combinations(ranked, size):
            if _is_of_none(choice, rivals):
                return dict(choice)
    return dict(_irreducible(ranked, rivals))


def _rank(label: tuple[str, str]) -> tuple[int, str]:
    key = label[0]
    return _FAVOURED.index(key) if key in _FAVOURED else len(_FAVOURED), key


def _largest(sets: Iterable[frozenset[tuple[str, str]]]) -> list[frozenset[tuple[str, str]]]:
    """The sets that lie in no other: what tells from those tells from all."""
    distinct = sorted(set(sets), key=len, reverse=True)
    return [each for index, each in enumerate(distinct) if not any(each <= larger for larger in distinct[:index])]


def _is_of_none(choice: Iterable[tuple[str, str]], rivals: Iterable[frozenset[tuple[str, str]]]) -> bool:
    chosen = frozenset(choice)
    return not any(chosen <= rival for rival in rivals)


def _irreducible(
    ranked: list[tuple[str, str]], rivals: Collection[frozenset[tuple[str, str]]]
) -> list[tuple[str, str]]:
    """What is left of the labels, which are of no rival, once each that is not needed is gone, the last first."""
    left = ranked
    for label in reversed(ranked):
        fewer = [each for each in left if each != label]
        if _is_of_none(fewer, rivals):
            left = fewer
    return left
