"""What the demo reads of objects before anything of them is understood."""

from __future__ import annotations

from pathlib import Path

from netpol.demo.raw import at, name_of, read_objects, sequence, text


def test_objects_have_the_type_that_their_list_states(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "items: [{metadata: {name: a}}]\napiVersion: v1\nkind: PodList\n---\napiVersion: v1\nkind: Node\n"
    )
    assert read_objects(tmp_path) == [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}},
        {"apiVersion": "v1", "kind": "Node"},
    ]


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
