"""Selectors: understood as a whole (G6), or not at all (M7)."""

from __future__ import annotations

import pytest
from builders import selector

from netpol.model.labels import EVERYTHING, Selector
from netpol.source.fields import Reading
from netpol.source.selectors import decode_selector, is_label_key, is_label_value, is_subdomain


def decoded(value: object) -> tuple[Selector | None, list[str]]:
    reading = Reading()
    found = decode_selector(value, ("podSelector",), reading)
    return found, list(map(str, reading.problems))


def expression(key: object, operator: object, **values: object) -> dict[str, object]:
    return {"matchExpressions": [{"key": key, "operator": operator, **values}]}


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"matchLabels": None},
        {"matchLabels": {}},
        {"matchExpressions": []},
        {"matchLabels": None, "matchExpressions": None},
    ],
)
def test_an_empty_selector_selects_everything(value: object) -> None:
    assert decoded(value) == (EVERYTHING, [])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"matchLabels": {"app": "web", "example.org/tier": ""}}, "app=web,example.org/tier="),
        (expression("app", "In", values=["a", "b", "a"]), "app in (a,b)"),
        (expression("app", "NotIn", values=["a"]), "app notin (a)"),
        (expression("app", "Exists"), "app"),
        (expression("app", "Exists", values=None), "app"),
        (expression("app", "DoesNotExist", values=[]), "!app"),
        ({"matchLabels": {"a": "b"}} | expression("c", "Exists"), "a=b,c"),
    ],
)
def test_labels_and_expressions_must_all_hold(value: object, text: str) -> None:
    assert decoded(value) == (selector(text), [])


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "podSelector: must be a selector, not null"),
        ([], "podSelector: must be a selector, not a list"),
        ("app=web", "podSelector: must be a selector, not 'app=web'"),
        ({"matchLabel": {}}, "podSelector.matchLabel: is no field known here"),
        ({"matchLabels": []}, "podSelector.matchLabels: must be a mapping, not a list"),
        ({"matchLabels": {"a": 1}}, "podSelector.matchLabels.a: must be a string, not 1"),
        ({"matchLabels": {"a": None}}, "podSelector.matchLabels.a: must be a string, not null"),
        ({"matchLabels": {1: "a"}}, "podSelector.matchLabels: has a key that is no string: 1"),
        ({"matchLabels": {"a b": "c"}}, "podSelector.matchLabels[a b]: 'a b' is no label key"),
        ({"matchLabels": {"a": "b c"}}, "podSelector.matchLabels.a: 'b c' is no label value"),
        ({"matchExpressions": {}}, "podSelector.matchExpressions: must be a list, not a mapping"),
        ({"matchExpressions": [None]}, "podSelector.matchExpressions[0]: must be a mapping, not null"),
        (
            expression("a", "Exists", value=["b"]),
            "podSelector.matchExpressions[0].value: is no field known here",
        ),
        (expression("", "Exists"), "podSelector.matchExpressions[0].key: '' is no label key"),
        (expression("-a", "Exists"), "podSelector.matchExpressions[0].key: '-a' is no label key"),
        (
            expression("a", "in", values=["b"]),
            "podSelector.matchExpressions[0].operator: 'in' is no operator; they are In, NotIn, Exists, DoesNotExist",
        ),
        (expression("a", "In"), "podSelector.matchExpressions[0].values: In needs values"),
        (expression("a", "NotIn", values=[]), "podSelector.matchExpressions[0].values: NotIn needs values"),
        (expression("a", "Exists", values=["b"]), "podSelector.matchExpressions[0].values: Exists forbids values"),
        (
            expression("a", "DoesNotExist", values=["b"]),
            "podSelector.matchExpressions[0].values: DoesNotExist forbids values",
        ),
        (
            expression("a", "In", values=["b", 1]),
            "podSelector.matchExpressions[0].values: must be label values, each a string",
        ),
        (
            expression("a", "NotIn", values=["b "]),
            "podSelector.matchExpressions[0].values: must be label values, each a string",
        ),
    ],
)
def test_one_bad_part_makes_the_whole_selector_unreadable(value: object, problem: str) -> None:
    assert decoded(value) == (None, [problem])


@pytest.mark.parametrize("kind", [5, None, ["In"]])
def test_an_operator_of_another_type_is_unreadable(kind: object) -> None:
    found, problems = decoded(expression("a", kind, values=["b"]))
    assert found is None
    assert problems


def test_good_parts_do_not_save_a_bad_one() -> None:
    found, problems = decoded({"matchLabels": {"a": "b", "c": 5}, "matchExpressions": [{"key": "d", "operator": "?"}]})
    assert found is None
    assert len(problems) == 2


@pytest.mark.parametrize("text", ["a", "A1", "a_b.c-d", "a" * 63, "example.org/app", "a.b-c.d/" + "x" * 63])
def test_label_keys(text: str) -> None:
    assert is_label_key(text)


@pytest.mark.parametrize(
    "text", ["", "a" * 64, "-a", "a-", "_", "a b", "a\n", "/a", "a/", "a/b/c", "A.org/x", "é", "x" * 254 + "/a"]
)
def test_no_label_keys(text: str) -> None:
    assert not is_label_key(text)


@pytest.mark.parametrize("text", ["", "a", "0", "A_b.c-d", "a" * 63])
def test_label_values(text: str) -> None:
    assert is_label_value(text)


@pytest.mark.parametrize("text", ["a" * 64, "-a", "a.", "a/b", "a\n", "é", " "])
def test_no_label_values(text: str) -> None:
    assert not is_label_value(text)


def test_subdomains() -> None:
    assert is_subdomain("a-1.b2.c")
    assert is_subdomain("a" * 253)
    assert not any(map(is_subdomain, ["", "a" * 254, "A", "a_b", "a..b", ".a", "a.", "-a", "a-.b", "a\n"]))
