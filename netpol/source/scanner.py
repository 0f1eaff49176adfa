"""One JSON text to plain values: objects, lists, strings, numbers, booleans, nulls.

It refuses what YAML's composer refuses: a key that stands twice in one object, where nobody
can tell which counts, and half a surrogate pair, which is no character. Numbers of any
length are taken, as kubectl takes them: most stand in fields that nobody here reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Generator, Iterator

from netpol.source import composer
from netpol.source.composer import DOCUMENT, ITEMS, RepeatedKey, Unreadable
from netpol.source.fields import FieldPath, shown
from netpol.source.scalars import LONGEST_INTEGER

_WHITESPACE = re.compile(r"[ \t\r\n]*")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class _Refused(ValueError):
    """The value has a part that no JSON text has, or that is not taken."""


class _Repeated(_Refused):
    """An object of the value has one key twice."""


def parts(text: str) -> Iterator[tuple[FieldPath, object]]:
    """The document at the path `()`, after each item of its list `items`, which is then empty in the document.

    Raises Unreadable where the text, from there on, makes no sense.
    """
    reading = _Reading(text)
    try:
        yield from reading.document()
    except json.JSONDecodeError as error:
        raise Unreadable(error.lineno - 1, f"is no JSON: {error.msg}") from None
    except _Repeated as error:
        raise _where_yaml_finds_it(text, reading.at) or reading.unreadable(str(error)) from None
    except _Refused as error:
        raise reading.unreadable(str(error)) from None
    except RecursionError:
        raise reading.unreadable("is nested too deeply") from None


class _Reading:
    """The reading of one text from its start to its end; `at` is where the next value begins."""

    def __init__(self, text: str) -> None:
        self.at = 0
        self._text = text
        self._has_surrogates = _SURROGATE.search(text) is not None

    def unreadable(self, message: str) -> Unreadable:
        """What is wrong with the value that begins here."""
        return Unreadable(self._text.count("\n", 0, self.at), message)

    def document(self) -> Iterator[tuple[FieldPath, object]]:
        """The items of the document, then the document, which is whole only where nothing follows it."""
        self._skip_whitespace()
        if self._take("{"):
            value: object = yield from self._members()
        else:
            value = self._value()
        if self.at < len(self._text):
            raise self._wrong("Extra data")
        yield DOCUMENT, value

    def _members(self) -> Generator[tuple[FieldPath, object], None, dict[str, object]]:
        """The object, after its items."""
        found: dict[str, object] = {}
        closed = self._take("}")
        while not closed:
            key = self._key(found)
            if key == ITEMS and self._take("["):
                yield from self._items()
                found[key] = []
            else:
                found[key] = self._value()
            closed = self._closes("}")
        return found

    def _items(self) -> Iterator[tuple[FieldPath, object]]:
        index = 0
        closed = self._take("]")
        while not closed:
            yield (ITEMS, index), self._value()
            index += 1
            closed = self._closes("]")

    def _key(self, known: Container[str]) -> str:
        start = self.at
        if not self._text.startswith('"', start):
            raise self._wrong("Expecting property name enclosed in double quotes")
        key = str(self._value())
        if key in known:
            self.at = start
            raise _Refused(_twice(key))
        if not self._take(":"):
            raise self._wrong("Expecting ':' delimiter")
        return key

    def _value(self) -> object:
        value, end = _decoder.raw_decode(self._text, self.at)
        if self._has_surrogates:
            _refuse_surrogates(value)
        self.at = end
        self._skip_whitespace()
        return value

    def _closes(self, bracket: str) -> bool:
        """True behind the bracket, False behind the comma before the next entry."""
        if self._take(bracket):
            return True
        if not self._take(","):
            raise self._wrong("Expecting ',' delimiter")
        return False

    def _take(self, mark: str) -> bool:
        if not self._text.startswith(mark, self.at):
            return False
        self.at += 1
        self._skip_whitespace()
        return True

    def _skip_whitespace(self) -> None:
        found = _WHITESPACE.match(self._text, self.at)
        self.at = found.end() if found else self.at

    def _wrong(self, message: str) -> json.JSONDecodeError:
        return json.JSONDecodeError(message, self._text, self.at)


def _object(members: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(members)
    if len(found) < len(members):
        keys = [key for key, _ in members]
        raise _Repeated(_twice(next(key for key in found if keys.count(key) > 1)))
    return found


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_INTEGER else float(digits)


def _refuse_constant(name: str) -> object:
    raise _Refused(f"is no JSON: {name} is no value")


def _refuse_surrogates(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _Refused("has half a surrogate pair in a string") from None


def _twice(key: str) -> str:
    return f"has the key {shown(key)} twice in one mapping"


def _where_yaml_finds_it(text: str, start: int) -> RepeatedKey | None:
    """The repeated key with its line, which JSON's decoder does not tell; most JSON is YAML, whose composer does."""
    try:
        for _ in composer.parts(text[start:]):
            pass
    except RepeatedKey as error:
        return RepeatedKey(text.count("\n", 0, start) + error.line, error.message)
    except Unreadable:
        # JSON that is no YAML (a surrogate pair, say): the line cannot be had this way.
        pass
    return None


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_constant=_refuse_constant)
