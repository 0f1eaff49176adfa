"""Things found by labels, against asking every selector."""

from __future__ import annotations

import pytest
from builders import labels, selector
from hypothesis import given
from hypothesis import strategies as st
from worlds import POD_SELECTORS

from netpol.model.labels import Selector
from netpol.policy.selector_index import SelectorIndex, first_choice

LABELS = ["", "app=x", "app=y", "app=x tier=y", "tier=x", "other=x"]


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("", set()),
        ("app", set()),
        ("app notin (x)", set()),
        ("app=x", {("app", "x")}),
        ("app in (x,y),tier=z", {("app", "x"), ("app", "y")}),
        ("!app,tier=z", {("tier", "z")}),
    ],
)
def test_what_a_selector_needs_is_the_first_label_it_lists_values_of(text: str, choice: set[tuple[str, str]]) -> None:
    assert set(first_choice(selector(text))) == choice


@given(st.lists(POD_SELECTORS, max_size=8), st.data())
def test_it_finds_what_every_selector_would(selectors: list[Selector], data: st.DataObject) -> None:
    """Each thing once, and nothing that was removed."""
    index: SelectorIndex[int] = SelectorIndex()
    for thing, each in enumerate(selectors):
        index.add(each, thing)
    gone = data.draw(st.sets(st.sampled_from(range(len(selectors))))) if selectors else set()
    for thing in gone:
        index.remove(selectors[thing], thing)
    left = {thing: each for thing, each in enumerate(selectors) if thing not in gone}
    assert bool(index) is bool(left)
    assert index.selectors() == left
    for text in LABELS:
        own = labels(text)
        assert sorted(index.matching(own)) == [thing for thing, each in left.items() if each.matches(own)]
