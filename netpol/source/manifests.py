"""A directory of manifests, or one file of them, as a snapshot (M6)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from netpol.errors import InputError
from netpol.model.notices import Notice
from netpol.model.snapshot import Snapshot
from netpol.settings import PolicyOptions
from netpol.source.catalogue import Catalogue
from netpol.source.composer import DOCUMENT, ITEMS
from netpol.source.documents import Broken, Part, Place, json_parts, yaml_parts
from netpol.source.fields import Fields, Malformed, Problem, Reading, shown
from netpol.source.locations import Lines

SUFFIXES = (".yaml", ".yml", ".json")

_LIST = "List"
_DEEPEST_ITEM = 20


@dataclass(frozen=True, slots=True)
class Loaded:
    """What manifests hold: the snapshot, what of it was not understood (M7), and lines for a person."""

    snapshot: Snapshot
    notices: tuple[Notice, ...]
    warnings: tuple[str, ...]


def load(path: Path, options: PolicyOptions) -> Loaded:
    """The snapshot of the manifests at `path`; InputError names everything there that cannot be an object.

    A directory's own directories are left alone. No manifest, or none with an object in it, is an
    error as well: an empty input would open everything.
    """
    catalogue = Catalogue(options)
    problems: list[str] = []
    documents = 0
    for file in _manifests(path):
        reading = _FileReading(file, catalogue)
        reading.run()
        problems += reading.problem_lines()
        documents += reading.documents
    if not documents and not problems:
        problems.append(f"{path}: holds no object")
    if problems:
        raise InputError(problems)
    return Loaded(catalogue.snapshot(), catalogue.notices(), catalogue.warnings())


def _manifests(path: Path) -> list[Path]:
    """The files to read, in the order of their names."""
    try:
        if not path.is_dir():
            return [path]
        files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and not file.is_dir())
    except OSError as error:
        raise InputError([_unreadable(path, error)]) from None
    if not files:
        raise InputError([f"{path}: holds no manifest: no file whose name ends in {', '.join(SUFFIXES)}"])
    return files


def _unreadable(path: Path, error: OSError) -> str:
    return f"{path}: cannot be read: {error.strerror or error}"


@dataclass(frozen=True, slots=True)
class _Type:
    """What an object is; empty strings where only the list it stands in can say it."""

    api_version: str = ""
    kind: str = ""

    def of_items(self) -> _Type:
        """The type of a list's items that state none: a plain `List` has none to give."""
        return _NO_TYPE if self.kind == _LIST else _Type(self.api_version, self.kind.removesuffix(_LIST))


_NO_TYPE = _Type()


class _FileReading:
    """The reading of one file into a catalogue; `documents` counts those that are not empty."""

    def __init__(self, path: Path, catalogue: Catalogue) -> None:
        self.documents = 0
        self._path = path
        self._catalogue = catalogue
        self._unreadable: list[str] = []
        self._broken: list[Broken] = []
        self._wrong: defaultdict[int, list[tuple[Place, Problem]]] = defaultdict(list)
        self._untyped: list[Part] = []

    def run(self) -> None:
        """Put the file's objects into the catalogue."""
        try:
            # A pipe, for one, could keep the reader waiting for ever.
            if self._path.exists() and not self._path.is_file():
                self._unreadable.append(f"{self._path}: cannot be read: is no regular file")
                return
            text = self._path.read_bytes()
        except OSError as error:
            self._unreadable.append(_unreadable(self._path, error))
            return
        for part in json_parts(text) if self._path.suffix == ".json" else yaml_parts(text):
            if isinstance(part, Broken):
                self._broken.append(part)
                self._untyped.clear()
            elif part.place.path == DOCUMENT:
                self._read_document(part)
            elif isinstance(part.value, dict) and {"kind", "apiVersion"} <= part.value.keys():
                self._read_object(part, _NO_TYPE)
            else:
                # It has the list's own kind, which may only come after the items.
                self._untyped.append(part)

    def problem_lines(self) -> list[str]:
        """A line for each problem of the file, in the file's order."""
        found = [(broken.line, broken.document, broken.message) for broken in self._broken]
        for document, problems in self._wrong.items():
            located = [(place.path + problem.path, problem) for place, problem in problems]
            place = problems[0][0]
            lines = Lines(place.text, [path for path, _ in located])
            for path, problem in located:
                found.append((place.line + lines.line(path), document, str(Problem(path, problem.message))))
        found.sort(key=lambda entry: entry[:2])
        return self._unreadable + [
            f"{self._path}:{line}: document {document}: {message}" for line, document, message in found
        ]

    def _read_document(self, document: Part) -> None:
        untyped, self._untyped = self._untyped, []
        if document.value is None:
            return
        self.documents += 1
        self._read_object(document, _NO_TYPE, untyped)

    def _read_object(self, part: Part, default: _Type, items: Sequence[Part] = ()) -> None:
        """Put an object into the catalogue, or the objects of a list; `items` are those taken out of it before."""
        fields = part.value
        if not isinstance(fields, dict):
            self._note(part.place, [Problem((), f"must be an object, not {shown(fields)}")])
            return
        try:
            own = _read_type(fields, default)
            if own.kind.endswith(_LIST):
                default = own.of_items()
                for item in (*items, *_items(part)):
                    self._read_object(item, default)
            else:
                self._catalogue.add(own.api_version, own.kind, fields, f"{self._path}, document {part.place.document}")
        except Malformed as error:
            self._note(part.place, error.problems)

    def _note(self, place: Place, problems: Sequence[Problem]) -> None:
        self._wrong[place.document] += [(place, problem) for problem in problems]


def _read_type(fields: Fields, default: _Type) -> _Type:
    """The object's type; what it does not say is taken from the list it stands in."""
    reading = Reading()
    found = {}
    for key, inherited in (("apiVersion", default.api_version), ("kind", default.kind)):
        before = len(reading.problems)
        found[key] = reading.text(fields, (), key) or inherited
        if not found[key] and len(reading.problems) == before:
            reading.wrong((key,), "is missing")
    reading.unless_malformed()
    return _Type(found["apiVersion"], found["kind"])


def _items(part: Part) -> list[Part]:
    """The items of a list that are still in it."""
    reading = Reading()
    fields = part.value if isinstance(part.value, dict) else {}
    items = reading.sequence(fields, (), ITEMS)
    if len(part.place.path) > _DEEPEST_ITEM:
        reading.wrong((), "is a list in a list in a list, and so on too deeply")
    reading.unless_malformed()
    return [Part(part.place.inside((ITEMS, index)), item) for index, item in enumerate(items)]
