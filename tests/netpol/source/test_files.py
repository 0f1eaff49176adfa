"""Every object of every file is found, however lists and documents wrap it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from netpol.errors import InputError
from netpol.source.fields import Problem
from netpol.source.files import FileReading, RawObject, files, objects

LIST = {
    "apiVersion": "v1",
    "kind": "List",
    "items": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}, {"apiVersion": "v1", "kind": "Node"}],
}
POD_LIST = {"apiVersion": "v1", "items": [{"metadata": {"name": "b"}}], "kind": "PodList"}
POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\n"


def name(found: RawObject) -> object:
    metadata = found.fields.get("metadata")
    return metadata.get("name") if isinstance(metadata, dict) else None


def read(path: Path) -> list[tuple[str, str, object]]:
    return [(found.api_version, found.kind, name(found)) for found in objects(path)]


@pytest.mark.parametrize("file", ["list.json", "list.yaml"])
def test_lists_are_taken_apart(tmp_path: Path, file: str) -> None:
    """Items may leave out the kind that their list's kind tells, before or after them."""
    (tmp_path / file).write_text(json.dumps(LIST), encoding="utf-8")
    assert read(tmp_path / file) == [("v1", "Pod", "a"), ("v1", "Node", None)]
    (tmp_path / file).write_text(json.dumps(POD_LIST), encoding="utf-8")
    assert read(tmp_path / file) == [("v1", "Pod", "b")]


def test_a_directory_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(POD % "b" + "---\n\n---\n" + POD % "c")
    (tmp_path / "a.json").write_text('{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}')
    (tmp_path / "README").write_text(POD % "d")
    (tmp_path / "below.yaml").mkdir()
    assert [found[2] for found in read(tmp_path)] == ["a", "b", "c"]
    assert [file.name for file in files(tmp_path)] == ["a.json", "b.yaml"]


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("items: [{kind: Pod}\n---\n- no object\n---\nkind: Pod\n---\n" + POD % "a")
    assert read(tmp_path) == [("v1", "Pod", "a")]


def test_an_object_s_place_leads_back_to_its_line(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("---\n" + POD % "a" + "---\n---\nkind: PodList\napiVersion: v1\nitems:\n- metadata:\n    name: b\n")
    reading = FileReading(file)
    for found in reading.objects():
        reading.note(found.place, [Problem(("metadata", "name"), "is no good")])
    assert reading.problem_lines() == [
        f"{file}:4: document 1: metadata.name: is no good",
        f"{file}:11: document 3: items[0].metadata.name: is no good",
    ]


def test_a_place_without_manifests_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no manifest"):
        files(tmp_path)
    assert files(tmp_path / "nowhere") == [tmp_path / "nowhere"], "its reading says that it is not there"
