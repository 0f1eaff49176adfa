"""The documents of a manifest file: bytes to plain values, one object at a time.

A list's items come one by one, so that a file never needs the memory of all its objects
at once. What cannot be read is a part too: one broken document does not hide the next.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import msgspec

from netpol.source.composer import DOCUMENT, ITEMS, Unreadable, parts
from netpol.source.fields import FieldPath

_MARKER = re.compile(rb"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_decode = msgspec.json.decode
_BYTE_OFFSET = re.compile(r" \(byte (\d+)\)$")


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
    for line, chunk in _chunks(text.removeprefix(codecs.BOM_UTF8)):
        try:
            for path, value in parts(chunk.decode()):
                yield Part(Place(number, path, chunk, line), value)
                number += path == DOCUMENT
        except UnicodeDecodeError as error:
            yield Broken(number, line - 1 + _line_at(chunk, error.start), "is no UTF-8")
            number += 1
        except Unreadable as error:
            yield Broken(number, line + error.line, error.message)
            number += 1


def json_parts(text: bytes) -> Iterator[Part | Broken]:
    """The parts of a JSON file, which is one document; of a key that stands twice the last counts, as for kubectl."""
    text = text.removeprefix(codecs.BOM_UTF8)
    try:
        for path, value in _json_values(text):
            yield Part(Place(1, path, text, 1), value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        yield _broken_json(text)


def _json_values(text: bytes) -> Iterator[tuple[FieldPath, object]]:
    if not text.lstrip().startswith(b"{"):
        yield DOCUMENT, _decode(text)
        return
    members = _decode(text, type=dict[str, msgspec.Raw])
    items = members.pop(ITEMS, None)
    document: dict[str, object] = {}
    if items is not None and bytes(memoryview(items)[:1]) == b"[":
        for index, item in enumerate(_decode(items, type=list[msgspec.Raw])):
            yield (ITEMS, index), _decode(item)
        document[ITEMS] = []
    elif items is not None:
        document[ITEMS] = _decode(items)
    yield DOCUMENT, document | {key: _decode(value) for key, value in members.items()}


def _broken_json(text: bytes) -> Broken:
    """Where the text stops being JSON: an error in a part of it counts its bytes from that part."""
    try:
        text.decode()
        _decode(text)
    except UnicodeDecodeError as error:
        return Broken(1, _line_at(text, error.start), "is no UTF-8")
    except msgspec.DecodeError as error:
        offset = _BYTE_OFFSET.search(str(error))
        line = _line_at(text, int(offset[1]) if offset else len(text))
        return Broken(1, line, f"is no JSON: {_BYTE_OFFSET.sub('', str(error))}")
    except RecursionError:
        pass
    return Broken(1, 1, "is nested too deeply")


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
