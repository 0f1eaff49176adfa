"""Files to parts: every document is judged, whatever stands in the one before."""

from __future__ import annotations

import codecs

import pytest

from netpol.source.documents import Broken, Part, json_parts, yaml_parts


def seen(parts: list[Part | Broken]) -> list[object]:
    """Parts as plain tuples: document, path and value; or document, line and message."""
    return [
        (part.document, part.line, part.message)
        if isinstance(part, Broken)
        else (part.place.document, part.place.path, part.value)
        for part in parts
    ]


def from_yaml(text: bytes) -> list[object]:
    return seen(list(yaml_parts(text)))


def from_json(text: bytes) -> list[object]:
    return seen(list(json_parts(text)))


def test_documents_are_counted_from_one() -> None:
    assert from_yaml(b"a: 1\n---\nb: 2\n--- {c: 3}\n") == [(1, (), {"a": 1}), (2, (), {"b": 2}), (3, (), {"c": 3})]


def test_comments_and_directives_before_the_first_marker_are_no_document() -> None:
    assert from_yaml(b"# hello\n%YAML 1.1\n\n---\na: 1\n") == [(1, (), {"a": 1})]
    assert from_yaml(b"---\na: 1\n") == [(1, (), {"a": 1})]
    assert from_yaml(b"# hello\r\n" * 5000 + b"a: 1\n---\nb: 1") == [(1, (), {"a": 1}), (2, (), {"b": 1})]


def test_empty_documents_count_and_are_null() -> None:
    assert from_yaml(b"---\n---\n# nothing\n---\na: 1\n---\n") == [
        (1, (), None),
        (2, (), None),
        (3, (), {"a": 1}),
        (4, (), None),
    ]


@pytest.mark.parametrize("text", [b"", b"\n\n", b"# only a comment\n", codecs.BOM_UTF8])
def test_a_file_without_documents(text: bytes) -> None:
    assert from_yaml(text) == []


@pytest.mark.parametrize("text", [b"", b" \r\n", codecs.BOM_UTF8])
def test_an_empty_file_holds_no_document_in_json_either(text: bytes) -> None:
    assert from_json(text) == []


def test_byte_order_marks_and_line_ends_of_other_systems() -> None:
    assert from_yaml(codecs.BOM_UTF8 + b"a: 1\r\n---\r\nb: 2\r\n...\r\n") == [(1, (), {"a": 1}), (2, (), {"b": 2})]
    assert from_yaml(b"a: 1\r---\rb: 2\r") == [(1, (), {"a": 1}), (2, (), {"b": 2})]
    assert from_json(codecs.BOM_UTF8 + b'{"a": 1}') == [(1, (), {"a": 1})]


@pytest.mark.parametrize(
    "text",
    [
        b"a: 1\n---\n#b: 2\n",
        b"a: 1\n---  \r\n#b: 2\n",
        b"a: 1\n...\n#---\nb: 2\n",
        b"a: 1\n#---\nb: 2\n",
        b"#---\na: 1\n#---\n#b: 2\n",
    ],
)
def test_every_document_may_begin_with_a_byte_order_mark(text: bytes) -> None:
    marked = text.replace(b"#", codecs.BOM_UTF8)
    assert from_yaml(marked) == [(1, (), {"a": 1}), (2, (), {"b": 2})]


def test_a_byte_order_mark_in_a_string_is_a_character_of_it() -> None:
    assert from_yaml(b'a: "x\n  ' + codecs.BOM_UTF8 + b'y"') == [(1, (), {"a": "x \ufeffy"})]


def test_a_marker_inside_a_scalar_is_none() -> None:
    assert from_yaml(b"a: |\n  ---\n  b\nc: '--- d'\n---e: 1\n") == [
        (1, (), {"a": "---\nb\n", "c": "--- d", "---e": 1})
    ]


def test_a_broken_document_hides_no_other() -> None:
    found = from_yaml(b"a: [\n---\nb: 2\n---\n\xff: 1\n---\nc: 3\nc: 4\n---\nd: 5\n")
    assert [entry[:2] for entry in found if isinstance(entry, tuple)] == [(1, 2), (2, ()), (3, 5), (4, 8), (5, ())]
    assert found[2] == (3, 5, "is no UTF-8")


def test_the_lines_of_a_file_go_on_from_document_to_document() -> None:
    [first, second] = yaml_parts(b"# one\n---\na: 1\n---\nb: 2\n")
    assert isinstance(first, Part)
    assert isinstance(second, Part)
    assert [(part.place.line, part.place.text) for part in (first, second)] == [
        (2, b"---\na: 1\n"),
        (4, b"---\nb: 2\n"),
    ]


def test_items_come_before_their_list_in_both_formats() -> None:
    parts: list[object] = [
        (1, ("items", 0), {"a": 1}),
        (1, ("items", 1), 2),
        (1, (), {"kind": "List", "items": []}),
    ]
    assert from_yaml(b"kind: List\nitems: [{a: 1}, 2]") == parts
    assert from_json(b'{"items": [{"a": 1}, 2], "kind": "List"}') == parts


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"items": {"a": 1}}', {"items": {"a": 1}}),
        (b'{"items": null}', {"items": None}),
        (b"{}", {}),
        (b" [1]", [1]),
        (b"null", None),
    ],
)
def test_json_documents(text: bytes, value: object) -> None:
    assert from_json(text) == [(1, (), value)]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (b'{\n"a": 1,\n}', 3, "is no JSON"),
        (b'{\n"a": tru}', 2, "is no JSON"),
        (b'{"a": 1}\n{"b": 2}', 2, "is no JSON"),
        (b'{"a": 1,\n"b": "\xff"}', 2, "is no UTF-8"),
        (b'{"a": NaN}', 1, "is no JSON"),
        (b'{"a": ' + b"[" * 100_000, 1, "is nested too deeply"),
        (b"[" * 100_000, 1, "is nested too deeply"),
        (b'{"a": 1,\n"a": 2}', 2, "has the key 'a' twice in one mapping"),
    ],
)
def test_broken_json(text: bytes, line: int, message: str) -> None:
    [(document, found_line, found_message)] = [entry for entry in from_json(text) if isinstance(entry, tuple)]
    assert (document, found_line) == (1, line)
    assert str(found_message).startswith(message)
    assert "\n" not in str(found_message)


def test_broken_json_in_an_item_is_found_on_its_line() -> None:
    found = from_json(b'{"kind": "List", "items": [\n{"a": 1},\n{"a":\ntru}]}')
    assert isinstance(found[-1], tuple)
    assert found[-1][:2] == (1, 4)
