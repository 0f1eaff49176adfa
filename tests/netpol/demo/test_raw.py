"""Every object of every file is found, however lists and documents wrap it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from netpol.demo.raw import at, name_of, read_objects, sequence, text

LIST = {"apiVersion": "v1", "kind": "List", "items": [{"kind": "Pod", "metadata": {"name": "a"}}, {"kind": "Node"}]}
POD_LIST = {"apiVersion": "v1", "items": [{"metadata": {"name": "b"}}], "kind": "PodList"}


def kinds(path: Path) -> list[tuple[str, str]]:
    return [(text(fields, "kind"), text(at(fields, "metadata"), "name")) for fields in read_objects(path)]


@pytest.mark.parametrize("name", ["list.json", "list.yaml"])
def test_lists_are_taken_apart(tmp_path: Path, name: str) -> None:
    """Items may leave out the kind that their list's kind tells, before or after them."""
    (tmp_path / name).write_text(json.dumps(LIST), encoding="utf-8")
    assert kinds(tmp_path / name) == [("Pod", "a"), ("Node", "")]
    (tmp_path / name).write_text(json.dumps(POD_LIST), encoding="utf-8")
    assert kinds(tmp_path / name) == [("Pod", "b")]
    assert read_objects(tmp_path / name)[0]["apiVersion"] == "v1"


def test_a_directory_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("kind: Pod\nmetadata: {name: b}\n---\n\n---\nkind: Pod\nmetadata: {name: c}\n")
    (tmp_path / "a.json").write_text('{"kind": "Pod", "metadata": {"name": "a"}}')
    (tmp_path / "README").write_text("kind: Pod")
    assert kinds(tmp_path) == [("Pod", "a"), ("Pod", "b"), ("Pod", "c")]


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("items: [{kind: Pod}\n---\n- no object\n---\nkind: Pod\n")
    assert kinds(tmp_path) == [("Pod", "")]


def test_paths_that_lead_nowhere_are_empty() -> None:
    fields = {"a": {"b": {"c": "d"}}, "e": [1], "f": None}
    assert at(fields, "a", "b") == {"c": "d"}
    assert at(fields, "a", "x", "y") == at(fields, "e") == at(fields, "f") == {}
    assert sequence(fields, "e") == [1]
    assert sequence(fields, "a") == []
    assert text(fields, "a") == ""


def test_an_object_without_a_namespace_is_in_default() -> None:
    assert name_of({"metadata": {"name": "a"}}) == ("default", "a")
    assert name_of({"metadata": {"name": "a", "namespace": "x"}}) == ("x", "a")
    assert name_of({}) == ("default", "")
