"""The lines of fields, in YAML and in JSON."""

from __future__ import annotations

import pytest

from netpol.source.fields import FieldPath
from netpol.source.locations import Lines

POD = b"""\
# a comment
apiVersion: v1
metadata:
  name: a
  labels: {app: web,
    8080: x}
spec:
  containers:
  - name: a
    ports:
    - containerPort: 80
    - name: http
      containerPort: 0
  ? [odd, key]
  : [value]
status: &s
  podIP: x
again: *s
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("metadata",), 2),
        (("metadata", "name"), 3),
        (("metadata", "labels", "app"), 4),
        (("metadata", "labels", "8080"), 5),
        (("spec", "containers", 0), 8),
        (("spec", "containers", 0, "ports", 1), 11),
        (("spec", "containers", 0, "ports", 1, "containerPort"), 12),
        (("status", "podIP"), 16),
        (("again",), 17),
    ],
)
def test_a_field_stands_where_its_key_does(path: FieldPath, line: int) -> None:
    assert Lines(POD, [path]).line(path) == line


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("kind",), 1),
        (("metadata", "uid"), 2),
        (("spec", "containers", 7, "ports"), 7),
        (("again", "podIP"), 17),
        (("metadata", "name", "deeper"), 3),
    ],
)
def test_what_is_not_there_is_missed_where_it_should_be(path: FieldPath, line: int) -> None:
    assert Lines(POD, [path]).line(path) == line


def test_several_fields_at_once() -> None:
    wanted: list[FieldPath] = [("metadata", "name"), ("status",)]
    lines = Lines(POD, wanted)
    assert [lines.line(path) for path in wanted] == [3, 15]


def test_a_document_behind_its_marker() -> None:
    assert Lines(b"---\n# hm\na: 1\nb: 2\n", [("b",)]).line(("b",)) == 3


def test_json_is_read_as_the_yaml_it_is() -> None:
    text = b'{"items":[\n\t{"metadata":\n\t\t{"name":"a","labels":{"x/y":1}}},\n{"kind":2}]}'
    assert Lines(text, [("items", 0, "metadata", "labels", "x/y")]).line(("items", 0, "metadata", "labels", "x/y")) == 2
    assert Lines(text, [("items", 1, "kind")]).line(("items", 1, "kind")) == 3


def test_json_that_is_no_yaml_is_read_as_far_as_it_goes() -> None:
    text = b'{"a": {\n"b": 1,\n"c": "\\ud83d\\ude00",\n"d": 1}}'
    assert Lines(text, [("a", "b")]).line(("a", "b")) == 1
    assert Lines(text, [("a", "d")]).line(("a", "d")) == 0


@pytest.mark.parametrize("text", [b"", b"# nothing", b"\xff\xfe", b"a: [", b"%", b"\x00"])
def test_no_text_is_too_odd(text: bytes) -> None:
    assert Lines(text, [("a",)]).line(("a",)) in (0, 1)
