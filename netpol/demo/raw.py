"""Objects as manifests hold them, before anything of them is understood."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from netpol.source.composer import DOCUMENT, ITEMS
from netpol.source.documents import Broken, json_parts, yaml_parts
from netpol.source.manifests import SUFFIXES

Fields = Mapping[str, object]


def read_objects(path: Path) -> list[Fields]:
    """Every object of a file, or of a directory's files, those of lists one by one.

    What cannot be read is left out: `source.manifests.load` has complained of it before.
    """
    files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES) if path.is_dir() else [path]
    return [found for file in files for found in _objects_of(file)]


def _objects_of(file: Path) -> Iterator[Fields]:
    text = file.read_bytes()
    items: list[object] = []
    for part in json_parts(text) if file.suffix == ".json" else yaml_parts(text):
        if isinstance(part, Broken):
            items.clear()
        elif part.place.path != DOCUMENT:
            # The list's own kind, which its items may leave out, can come after them.
            items.append(part.value)
        elif isinstance(part.value, dict):
            yield from _flattened({**part.value, ITEMS: items} if items else part.value)
            items = []


def _flattened(fields: Fields) -> Iterator[Fields]:
    kind = text(fields, "kind")
    if not kind.endswith("List"):
        yield fields
        return
    own_kind = kind.removesuffix("List")
    inherited = {"apiVersion": fields.get("apiVersion"), "kind": own_kind} if own_kind else {}
    for item in sequence(fields, ITEMS):
        if isinstance(item, dict):
            yield from _flattened({**inherited, **item})


def at(fields: Fields, *path: str) -> Fields:
    """The mapping at `path`; empty where there is none."""
    value: object = fields
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def sequence(fields: Fields, key: str) -> list[object]:
    """The list at `key`; empty where there is none."""
    value = fields.get(key)
    return value if isinstance(value, list) else []


def text(fields: Fields, key: str) -> str:
    """The string at `key`; "" where there is none."""
    value = fields.get(key)
    return value if isinstance(value, str) else ""


def name_of(fields: Fields) -> tuple[str, str]:
    """Namespace and name of an object; the namespace is `default` where none is named."""
    metadata = at(fields, "metadata")
    return text(metadata, "namespace") or "default", text(metadata, "name")
