"""A directory of manifests, or one file of them, as a snapshot (M6)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from netpol.errors import InputError
from netpol.model.notices import Notice
from netpol.model.snapshot import Snapshot
from netpol.settings import PolicyOptions
from netpol.source.catalogue import Catalogue
from netpol.source.fields import Malformed
from netpol.source.files import FileReading, files


@dataclass(frozen=True, slots=True)
class Loaded:
    """What manifests hold: the snapshot, what of it was not understood (M7), and lines for a person."""

    snapshot: Snapshot
    notices: tuple[Notice, ...]
    warnings: tuple[str, ...]


def load(path: Path, options: PolicyOptions) -> Loaded:
    """The snapshot of the manifests at `path`; InputError names everything there that cannot be an object.

    No manifest, or none with an object in it, is an error as well: an empty input would open everything.
    """
    catalogue = Catalogue(options)
    problems: list[str] = []
    documents = 0
    for file in files(path):
        reading = FileReading(file)
        _take_in(reading, file, catalogue)
        problems += reading.problem_lines()
        documents += reading.documents
    if not documents and not problems:
        problems.append(f"{path}: holds no object")
    if problems:
        raise InputError(problems)
    return Loaded(catalogue.snapshot(), catalogue.notices(), catalogue.warnings())


def _take_in(reading: FileReading, file: Path, catalogue: Catalogue) -> None:
    """The catalogue has the file's objects, and the reading the problems of those that it refuses."""
    for found in reading.objects():
        try:
            catalogue.add(found.api_version, found.kind, found.fields, f"{file}, document {found.place.document}")
        except Malformed as error:
            reading.note(found.place, error.problems)
