"""A directory of manifests, or one file of them, as a snapshot (M6)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from netpol.errors import InputError
from netpol.model.facts import FIREWALL_KINDS, Kind
from netpol.model.notices import Notice
from netpol.model.policies import Semantics
from netpol.model.snapshot import Snapshot
from netpol.settings import PolicyOptions
from netpol.source.catalogue import Catalogue
from netpol.source.fields import Malformed
from netpol.source.files import FileReading, files, shown_path
from netpol.source.kinds import described


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a source holds: the snapshot, what of it was not understood (M7), and lines for a person.

    `semantics` are those that an API server's policies follow, be there one or none; None for manifests.
    """

    snapshot: Snapshot
    notices: tuple[Notice, ...]
    warnings: tuple[str, ...]
    semantics: Semantics | None = None


def load(path: Path, options: PolicyOptions, kinds: Collection[Kind] = FIREWALL_KINDS) -> Loaded:
    """The snapshot of these kinds in the manifests at `path`; InputError names all there that cannot be an object.

    No manifest, or none with an object of a kind used, is an error as well: an empty input would open everything.
    """
    catalogue = Catalogue(options, kinds)
    problems: list[str] = []
    for file in files(path):
        reading = FileReading(file)
        _take_in(reading, catalogue)
        problems += reading.problem_lines()
    if catalogue.is_empty() and not problems:
        problems.append(f"{shown_path(path)}: holds no {described(kinds)}")
    if problems:
        raise InputError(problems)
    return Loaded(catalogue.snapshot(), catalogue.notices(), catalogue.warnings())


def _take_in(reading: FileReading, catalogue: Catalogue) -> None:
    """The catalogue has the file's objects, and the reading the problems of those that it refuses."""
    for found in reading.objects():
        try:
            catalogue.add(
                found.api_version, found.kind, found.fields, f"{reading.name}, document {found.place.document}"
            )
        except Malformed as error:
            reading.note(found.place, error.problems)
