"""The labels that name some pods and no others."""

from __future__ import annotations

from itertools import combinations

import pytest
from builders import labels
from hypothesis import given
from hypothesis import strategies as st

from netpol.model.labels import Labels
from netpol.suggest.selector_choice import PASSING_LABELS, distinguishing_labels, lasting_labels

ANY_LABELS = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("xyz"))


def has(pod: Labels, chosen: Labels) -> bool:
    return chosen.items() <= pod.items()


def chosen(members: str, *others: str) -> Labels | None:
    return distinguishing_labels([labels(each) for each in members.split("|")], map(labels, others))


def test_one_label_is_kept_where_every_label_would_do() -> None:
    assert chosen("tier=front app=web release=7") == {"app": "web"}


def test_a_key_that_says_what_a_workload_is_goes_before_others() -> None:
    assert chosen("a=1 k8s-app=dns app.kubernetes.io/name=dns") == {"app.kubernetes.io/name": "dns"}
    assert chosen("zone=a b=1", "a=2") == {"b": "1"}


def test_as_many_labels_as_it_takes() -> None:
    assert chosen("app=web tier=front", "app=web tier=back", "app=shop tier=front") == {"app": "web", "tier": "front"}


def test_only_what_all_members_have_counts() -> None:
    assert chosen("app=web shard=1|app=web shard=2", "app=shop shard=1") == {"app": "web"}
    assert chosen("shard=1|shard=2") is None


@pytest.mark.parametrize("members", ["", "pod-template-hash=5d9c", "app=web"])
def test_none_where_nothing_tells_the_members_from_the_others(members: str) -> None:
    assert chosen(members, "app=web tier=back pod-template-hash=77") is None


def test_pods_without_lasting_labels_are_not_named_by_naming_all() -> None:
    assert chosen("pod-template-hash=5d9c") is None
    assert chosen("") is None


@pytest.mark.parametrize("key", sorted(PASSING_LABELS))
def test_what_changes_with_every_roll_out_or_replica_is_not_chosen(key: str) -> None:
    assert chosen(f"{key}=1 zz=web") == {"zz": "web"}


def test_labels_that_no_selector_can_hold_are_passed_over() -> None:
    assert lasting_labels({"app": "two words", "a/b/c": "x", "tier": ""}) == {"tier": ""}


def test_where_more_than_three_are_needed_none_of_them_is_idle() -> None:
    members = dict.fromkeys("abcdef", "x")
    needed = "abcde"
    others = [{**members, key: "y"} for key in needed]
    assert distinguishing_labels([members], others) == dict.fromkeys(needed, "x")


@given(st.lists(ANY_LABELS, min_size=1, max_size=3), st.lists(ANY_LABELS, max_size=5))
def test_it_names_all_members_no_other_and_takes_no_label_too_many(members: list[Labels], others: list[Labels]) -> None:
    common = set.intersection(*(set(each.items()) for each in members))
    working = [
        size
        for size in range(1, len(common) + 1)
        for choice in combinations(sorted(common), size)
        if not any(has(other, dict(choice)) for other in others)
    ]
    found = distinguishing_labels(members, others)
    if found is None:
        assert working == []
        return
    assert all(has(member, found) for member in members)
    assert not any(has(other, found) for other in others)
    assert len(found) == min(working) or min(working) > 3
