from __future__ import annotations

import pytest
from builders import labels, selector

from netpol.model.labels import EVERYTHING, Operator, Requirement, Selector


@pytest.mark.parametrize(
    ("text", "matching"),
    [
        ("", {"", "a=1", "a=2 b=1", "a="}),
        ("a=1", {"a=1"}),
        ("a=", {"a="}),
        ("a in (1,2)", {"a=1", "a=2 b=1"}),
        ("a notin (1)", {"", "a=2 b=1", "a="}),
        ("a", {"a=1", "a=2 b=1", "a="}),
        ("!a", {""}),
        ("a,!b", {"a=1", "a="}),
        ("a=1,a=2", set()),
    ],
)
def test_g6_all_requirements_must_hold_and_negative_ones_match_a_missing_key(text: str, matching: set[str]) -> None:
    worlds = ("", "a=1", "a=2 b=1", "a=")
    assert {world for world in worlds if selector(text).matches(labels(world))} == matching


@pytest.mark.parametrize("text", ["a=1", "a in (1,2)", "a notin (1)", "a notin (1,2)", "a", "!a", "!a,b=1,c in (1,2)"])
def test_a_selector_is_written_as_kubectl_reads_it(text: str) -> None:
    assert str(selector(text)) == text
    assert selector(str(selector(text))) == selector(text)


def test_everything_is_written_as_no_label_can_be() -> None:
    assert str(EVERYTHING) == "*"
    assert Selector.of([]) == EVERYTHING


def test_equal_requirements_in_any_order_are_equal_selectors() -> None:
    one, other = Requirement("a", Operator.EXISTS), Requirement("b", Operator.IN, frozenset({"1", "2"}))
    assert Selector.of([one, other]) == Selector.of([other, one, other])
    assert hash(Selector.of([one, other])) == hash(Selector.of([other, one]))
