"""The objects of manifest files as they are written, those of lists one by one, and what is wrong with the files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from netpol.errors import InputError
from netpol.source.composer import DOCUMENT, ITEMS
from netpol.source.documents import Broken, Part, Place, json_parts, yaml_parts
from netpol.source.fields import Fields, Malformed, Problem, Reading, shown
from netpol.source.locations import Lines

SUFFIXES = (".yaml", ".yml", ".json")

_LIST = "List"
_DEEPEST_ITEM = 20


@dataclass(frozen=True, slots=True)
class RawObject:
    """An object as its file holds it; its type may be stated only by the list that it stands in."""

    api_version: str
    kind: str
    fields: Fields
    place: Place


def objects(path: Path) -> Iterator[RawObject]:
    """Every object of a file, or of a directory's files, as far as it can be read.

    `manifests.load` says what cannot be.
    """
    for file in files(path):
        yield from FileReading(file).objects()


def files(path: Path) -> list[Path]:
    """The manifests to read at `path`, in the order of their names; InputError where there are none.

    A directory's own directories are left alone.
    """
    try:
        if not path.is_dir():
            return [path]
        found = sorted(file for file in path.iterdir() if _suffix(file) in SUFFIXES and not file.is_dir())
    except OSError as error:
        raise InputError([_unreadable(path, error)]) from None
    if not found:
        raise InputError([f"{shown_path(path)}: holds no manifest: no file whose name ends in {', '.join(SUFFIXES)}"])
    return found


def shown_path(path: Path) -> str:
    r"""The path as it is, unless it would break the line that it stands in, or a terminal.

    >>> shown_path(Path("a/pods.yaml")), shown_path(Path("a\nb.yaml"))
    ('a/pods.yaml', "'a\\nb.yaml'")
    """
    text = str(path)
    return text if text.isprintable() else repr(text)


class FileReading:
    """The reading of one file, whose `name` is for messages."""

    def __init__(self, path: Path) -> None:
        self.name = shown_path(path)
        self._path = path
        self._unreadable: list[str] = []
        self._broken: list[Broken] = []
        self._wrong: defaultdict[int, list[tuple[Place, Problem]]] = defaultdict(list)
        self._untyped: list[Part] = []

    def objects(self) -> Iterator[RawObject]:
        """The file's objects; what is none is noted for `problem_lines`."""
        try:
            # A pipe, for one, could keep the reader waiting for ever.
            if self._path.exists() and not self._path.is_file():
                self._unreadable.append(f"{self.name}: cannot be read: is no regular file")
                return
            text = self._path.read_bytes()
        except OSError as error:
            self._unreadable.append(_unreadable(self._path, error))
            return
        for part in json_parts(text) if _suffix(self._path) == ".json" else yaml_parts(text):
            if isinstance(part, Broken):
                self._broken.append(part)
                self._untyped.clear()
            elif part.place.path == DOCUMENT:
                yield from self._document(part)
            elif isinstance(part.value, dict) and {"kind", "apiVersion"} <= part.value.keys():
                yield from self._objects(part, _NO_TYPE)
            else:
                # It has the list's own kind, which may only come after the items.
                self._untyped.append(part)

    def note(self, place: Place, problems: Sequence[Problem]) -> None:
        """What is at `place` has these problems."""
        self._wrong[place.document] += [(place, problem) for problem in problems]

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
            f"{self.name}:{line}: document {document}: {message}" for line, document, message in found
        ]

    def _document(self, document: Part) -> Iterator[RawObject]:
        untyped, self._untyped = self._untyped, []
        if document.value is not None:
            yield from self._objects(document, _NO_TYPE, untyped)

    def _objects(self, part: Part, default: _Type, items: Sequence[Part] = ()) -> Iterator[RawObject]:
        """The object, or the objects of a list; `items` are those taken out of it before."""
        fields = part.value
        if not isinstance(fields, dict):
            self.note(part.place, [Problem((), f"must be an object, not {shown(fields)}")])
            return
        try:
            own = _read_type(fields, default)
            inside = (*items, *_items(part)) if own.kind.endswith(_LIST) else None
        except Malformed as error:
            self.note(part.place, error.problems)
            return
        if inside is None:
            yield RawObject(own.api_version, own.kind, fields, part.place)
        else:
            for item in inside:
                yield from self._objects(item, own.of_items())


@dataclass(frozen=True, slots=True)
class _Type:
    """What an object is; empty strings where only the list it stands in can say it."""

    api_version: str = ""
    kind: str = ""

    def of_items(self) -> _Type:
        """The type of a list's items that state none: a plain `List` has none to give."""
        return _NO_TYPE if self.kind == _LIST else _Type(self.api_version, self.kind.removesuffix(_LIST))


_NO_TYPE = _Type()


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


def _unreadable(path: Path, error: OSError) -> str:
    return f"{shown_path(path)}: cannot be read: {error.strerror or error}"


def _suffix(path: Path) -> str:
    """The suffix in lower case: a policy must not be lost because its file is called `POLICY.YAML`."""
    return path.suffix.lower()
