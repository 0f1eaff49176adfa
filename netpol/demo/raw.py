"""Objects as manifests hold them, before anything of them is understood."""

from __future__ import annotations

from pathlib import Path

from netpol.source.fields import Fields
from netpol.source.files import objects
from netpol.source.objects import DEFAULT_NAMESPACE


def read_objects(path: Path) -> list[Fields]:
    """Every object of a file, or of a directory's files, each with the type that it or its list states.

    What cannot be read is left out: `source.manifests.load` has complained of it before.
    """
    return [{**found.fields, "apiVersion": found.api_version, "kind": found.kind} for found in objects(path)]


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
    """Namespace and name of an object; the namespace is `default` where none is named, as kubectl has it."""
    metadata = at(fields, "metadata")
    return text(metadata, "namespace") or DEFAULT_NAMESPACE, text(metadata, "name")
