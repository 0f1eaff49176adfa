"""JSON text to plain values: strict where a lenient reading could mean two things."""

from __future__ import annotations

import pytest

from netpol.source.composer import Unreadable
from netpol.source.scanner import parts


def whole(text: str) -> object:
    """The value of the document, which has no items of its own."""
    [(path, value)] = parts(text)
    assert path == ()
    return value


def refusal(text: str) -> tuple[int, str]:
    """The line, counted from 0, and what is wrong there."""
    with pytest.raises(Unreadable) as raised:
        list(parts(text))
    return raised.value.line, raised.value.message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{}", {}),
        (" [ ] ", []),
        ("null", None),
        (
            '\t{ "a" : {"b": [1, -2.5, true, false, null, "\\u00e9"]} ,\r\n"c":"d"}\n',
            {"a": {"b": [1, -2.5, True, False, None, "é"]}, "c": "d"},
        ),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ('{"a": "\\\\ud83d"}', {"a": "\\ud83d"}),
        ('{"items": {"items": [1]}}', {"items": {"items": [1]}}),
        ('{"a": {"k": 1}, "b": {"k": 1}}', {"a": {"k": 1}, "b": {"k": 1}}),
    ],
)
def test_values(text: str, value: object) -> None:
    assert whole(text) == value


@pytest.mark.parametrize(
    "text", ['{"items": [1, {"a": [2]}], "kind": "List"}', '{ "kind":"List","items" :[ 1 ,{"a":[2]} ] }']
)
def test_items_come_before_their_list(text: str) -> None:
    assert list(parts(text)) == [(("items", 0), 1), (("items", 1), {"a": [2]}), ((), {"kind": "List", "items": []})]


def test_a_list_without_items() -> None:
    assert whole('{"items": [ ]}') == {"items": []}


def test_numbers_have_no_greatest() -> None:
    assert whole(f"[{2**64}, -1{'0' * 99}, 1e400]") == [2**64, -1e99, float("inf")]
    assert whole(f'{{"a": {"9" * 10_000}}}') == {"a": float("inf")}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"a": 1, "a": 1}', 0),
        ('{"a": [],\n"b": 1,\n"a": 1}', 2),
        ('{"items": [\n{"a": 1,\n"b": {}, "a": 1}]}', 2),
        ('{"items": [],\n"a": 1, "items": []}', 1),
        ('{"b": 5,\n"items": [\n{"c": [[{"a": 1,\n"a": 2}]]}]}', 3),
        ('[{},\n{"a": 1,\n\n"\\u0061": 2}]', 3),
    ],
)
def test_a_key_that_stands_twice_is_refused_where_it_does(text: str, line: int) -> None:
    found, message = refusal(text)
    key = "items" if text.count("items") > 1 else "a"
    assert (found, message) == (line, f"has the key {key!r} twice in one mapping")


def test_a_repeated_key_in_json_that_is_no_yaml_is_refused_where_its_value_begins() -> None:
    text = '{"items": [\n{"x": "\\ud83d\\ude00",\n"a": 1,\n"a": 2}]}'
    assert refusal(text) == (1, "has the key 'a' twice in one mapping")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 0, "is no JSON: Expecting value"),
        ('{"a": 1,\n}', 1, "is no JSON: Expecting property name enclosed in double quotes"),
        ("{a: 1}", 0, "is no JSON: Expecting property name enclosed in double quotes"),
        ('{"a"\n 1}', 1, "is no JSON: Expecting ':' delimiter"),
        ('{"a": 1\n"b": 2}', 1, "is no JSON: Expecting ',' delimiter"),
        ('{"items": [1\n2]}', 1, "is no JSON: Expecting ',' delimiter"),
        ('{"items": [1,\n]}', 1, "is no JSON: Expecting value"),
        ('{"items": [{"a":\n tru}]}', 1, "is no JSON: Expecting value"),
        ('{"a": 1', 0, "is no JSON: Expecting ',' delimiter"),
        ("{}\n{}", 1, "is no JSON: Extra data"),
        ('{"a": "\n"}', 0, "is no JSON: Invalid control character at"),
        ('{"a":\nNaN}', 1, "is no JSON: NaN is no value"),
        ("[-Infinity]", 0, "is no JSON: -Infinity is no value"),
        ('{"a":\n["\\ud83d"]}', 1, "has half a surrogate pair in a string"),
        ('{"\\uDE00": 1}', 0, "has half a surrogate pair in a string"),
        ('{"a":\n' + "[" * 100_000, 1, "is nested too deeply"),
    ],
)
def test_what_is_refused(text: str, line: int, message: str) -> None:
    assert refusal(text) == (line, message)


def test_a_document_that_something_follows_is_none() -> None:
    found = parts('{"a": 1} x')
    with pytest.raises(Unreadable):
        next(found)
