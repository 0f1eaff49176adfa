"""The documents of a manifest file: bytes to plain values, one object at a time.

A list's items come one by one, so that a file never needs the memory of all its objects
at once. What cannot be read is a part too: one broken document does not hide the next.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from netpol.source import composer, scanner
from netpol.source.composer import DOCUMENT, Unreadable
from netpol.source.fields import FieldPath

_MARKER = re.compile(rb"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
# Every document of a file may begin with one: files of others, joined, are such a file.
_BYTE_ORDER_MARK = re.compile(rb"(\A|^---[ \t]*\r?\n|^(?=\xef\xbb\xbf---))\xef\xbb\xbf", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Place:
    """A value's place in a file: its document, counted from 1, and the path in it.

    `text` is the text around the document, and `line` the line of the file that it begins on.
    """

    document: int
    path: FieldPath
    text: bytes
    line: int

    def inside(self, path: FieldPath) -> Place:
        """The place at `path` from here."""
        return replace(self, path=self.path + path)


@dataclass(frozen=True, slots=True)
class Part:
    """A document at the path `()`, or one item of its list `items`, which comes before it and is gone from it."""

    place: Place
    value: object


@dataclass(frozen=True, slots=True)
class Broken:
    """A document that cannot be read from `line` of the file on."""

    document: int
    line: int
    message: str


def yaml_parts(text: bytes) -> Iterator[Part | Broken]:
    """The parts of a YAML file; JSON is YAML too."""
    number = 1
    for line, chunk in _chunks(_BYTE_ORDER_MARK.sub(rb"\1", text)):
        for part in _parts(composer.parts, number, line, chunk):
            yield part
            number += isinstance(part, Broken) or part.place.path == DOCUMENT


def json_parts(text: bytes) -> Iterator[Part | Broken]:
    """The parts of a JSON file, which is one document; an empty file holds none, as in YAML."""
    text = text.removeprefix(codecs.BOM_UTF8)
    if text.strip():
        yield from _parts(scanner.parts, 1, 1, text)


def _parts(
    parse: Callable[[str], Iterator[tuple[FieldPath, object]]], number: int, line: int, text: bytes
) -> Iterator[Part | Broken]:
    """The parts of a text that begins on this line of the file, with a document of this number."""
    try:
        for path, value in parse(text.decode()):
            yield Part(Place(number, path, text, line), value)
            number += path == DOCUMENT
    except UnicodeDecodeError as error:
        yield Broken(number, line - 1 + _line_at(text, error.start), "is no UTF-8")
    except Unreadable as error:
        yield Broken(number, line + error.line, error.message)


def _line_at(text: bytes, offset: int) -> int:
    return 1 + text.count(b"\n", 0, offset)


def _chunks(text: bytes) -> Iterator[tuple[int, bytes]]:
    """The text between document markers, each with the line of the file it begins on.

    No scalar can hold a marker at the start of a line, so cutting there is safe; and it lets every document
    be judged whatever stands in the one before.
    """
    line, start = 1, 0
    for marker in _MARKER.finditer(text):
        chunk = text[start : marker.start()]
        if start or _begins_document(chunk):
            yield line, chunk
        line += chunk.count(b"\n")
        start = marker.start()
    yield line, text[start:]


def _begins_document(text: bytes) -> bool:
    """True where there is more before the first marker than comments and directives."""
    lines = (line.strip() for line in text.splitlines())
    return any(line and not line.startswith((b"#", b"%")) for line in lines)
