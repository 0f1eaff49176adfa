"""YAML to values: the same by libyaml and by PyYAML's own parser, and safe whatever the text."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml

from netpol.source import composer
from netpol.source.composer import DEEPEST, DOCUMENT, EventSource, Unreadable, parts

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]\n" for n in range(9)
)
MERGED_LAUGHS = "a0: &a0 {x: y}\n" + "".join(
    f"a{n + 1}: &a{n + 1} {{<<: [{', '.join([f'*a{n}'] * 10)}]}}\n" for n in range(9)
)


@pytest.fixture(params=[composer.event_source, yaml.SafeLoader], ids=["fastest", "python"], autouse=True)
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    parser: Callable[[str], EventSource] = request.param
    monkeypatch.setattr(composer, "event_source", parser)


def document(text: str) -> object:
    """The one document of a text."""
    [(path, value)] = parts(text)
    assert path == DOCUMENT
    return value


def refusal(text: str) -> tuple[int, str]:
    with pytest.raises(Unreadable) as raised:
        list(parts(text))
    return raised.value.line, raised.value.message


def test_the_values_of_a_document() -> None:
    text = """
    a: {b: [1, true, null, 'x', "y"], c: 2026-01-01}
    "5": five
    6: six
    e: []
    f: |
      one
      two
    """
    assert document(text) == {
        "a": {"b": [1, True, None, "x", "y"], "c": "2026-01-01"},
        "5": "five",
        6: "six",
        "e": [],
        "f": "one\ntwo\n",
    }


def test_items_come_one_by_one_before_their_list() -> None:
    text = "kind: List\nitems:\n- {name: a}\n- b\nafter: 1\n"
    assert list(parts(text)) == [
        (("items", 0), {"name": "a"}),
        (("items", 1), "b"),
        ((), {"kind": "List", "items": [], "after": 1}),
    ]


def test_items_deeper_down_stay_where_they_are() -> None:
    assert document("spec: {items: [1, 2]}") == {"spec": {"items": [1, 2]}}


def test_items_that_are_no_list_stay_where_they_are() -> None:
    assert document("items: {a: 1}") == {"items": {"a": 1}}


def test_several_documents_and_empty_ones() -> None:
    assert [value for _, value in parts("---\na: 1\n---\n---\n[b]\n")] == [{"a": 1}, None, ["b"]]
    assert list(parts("# nothing\n")) == []


def test_an_alias_is_what_its_anchor_is() -> None:
    assert document("a: &x [1]\nb: *x\nc: &y text\nd: *y") == {"a": [1], "b": [1], "c": "text", "d": "text"}


def test_anchored_items_can_be_aliased() -> None:
    assert document("items: &x [1]\nb: *x") == {"items": [1], "b": [1]}
    assert list(parts("items:\n- &x {a: 1}\n- *x")) == [
        (("items", 0), {"a": 1}),
        (("items", 1), {"a": 1}),
        ((), {"items": []}),
    ]


def test_merge_keys_add_what_the_mapping_lacks() -> None:
    text = "base: &b {x: 1, y: 1}\nmore: &m {y: 2, z: 2}\nall: {y: 3, <<: [*b, *m]}\nquoted: {'<<': 1}"
    value = document(text)
    assert isinstance(value, dict)
    assert value["all"] == {"x": 1, "y": 3, "z": 2}
    assert value["quoted"] == {"<<": 1}
    assert document("<<: {a: 1}\nb: 2") == {"a": 1, "b": 2}


def test_anchors_end_with_their_document() -> None:
    assert refusal("a: &x 1\n---\nb: *x\n")[0] == 2


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: c: d", 1, "mapping values are not allowed"),
        ("a:\n- [1\n", 2, "expected"),
        ("a: 1\nb: 2\na: 3", 2, "has the key 'a' twice"),
        ("a:\n  b: 1\n  b: 1", 2, "has the key 'b' twice"),
        ("items: []\nitems: []", 1, "has the key 'items' twice"),
        ("a: 1\n? [b]\n: 2", 1, "has a list for a key"),
        ("a: 1\n? {b: 1}\n: 2", 1, "has a mapping for a key"),
        ("a: *nowhere", 0, "refers to 'nowhere'"),
        ("a: &a\n  b: *a", 1, "refers to 'a'"),
        ("a: &a [1]\nb: &a\n- *a", 2, "refers to 'a'"),
        ("a: 1\nb: !secret x", 1, "tag '!secret'"),
        ("a: !!set {x}", 0, "tag 'tag:yaml.org,2002:set'"),
        ("a: !!binary aGk=", 0, "tag"),
        ("a: {<<: 5}", 0, "merges 5"),
        ("a: 1\nb: \x01", 1, "character #x0001"),
        ("%YAML 1.1\n", 1, "document start"),
    ],
)
def test_what_is_refused_and_where(text: str, line: int, message: str) -> None:
    found_line, found_message = refusal(text)
    assert message in found_message
    assert "\n" not in found_message
    assert found_line == line


@pytest.mark.parametrize("bomb", [LAUGHS, MERGED_LAUGHS], ids=["lists", "merges"])
def test_a_billion_laughs_are_refused(bomb: str) -> None:
    assert "aliases that stand for more than" in refusal(bomb)[1]


@pytest.mark.parametrize(("opening", "between"), [("[", ""), ("- ", ""), ("{a: ", ""), ("a:\n", " ")])
def test_deep_nesting_is_refused(opening: str, between: str) -> None:
    deep = 5 * DEEPEST
    text = "".join(between * level + opening for level in range(deep)) if between else opening * deep
    assert f"nested more than {DEEPEST} levels" in refusal(text)[1]


def test_nesting_up_to_the_bound_is_fine() -> None:
    value = document("[" * DEEPEST + "]" * DEEPEST)
    for _ in range(DEEPEST - 1):
        assert isinstance(value, list)
        [value] = value
    assert value == []
