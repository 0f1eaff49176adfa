"""One YAML text to plain values: mappings, lists, strings, numbers, booleans, nulls.

The text may be hostile: nesting is bounded (libyaml's own composer overflows the C
stack), and what aliases stand for is counted (ten lines of them can stand for a billion
values). A key that stands twice in one mapping is refused: nobody can tell which counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import yaml
from yaml.events import (
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from netpol.source.fields import FieldPath, shown
from netpol.source.scalars import UnknownTag, scalar

DOCUMENT: FieldPath = ()
ITEMS = "items"

DEEPEST = 200
MOST_ALIASED = 100_000

_MERGE = object()
_COLLECTION_TAGS = (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


class EventSource(Protocol):
    """What is used of PyYAML's parsers."""

    def get_event(self) -> Any:
        """The next event of the text; which type it has, only the grammar says."""


# libyaml where PyYAML was built with it: ten times as fast, and the same events.
event_source: Callable[[str], EventSource] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Unreadable(ValueError):
    """The text is no YAML that is taken here; `line` says where, counted from 0."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


class RepeatedKey(Unreadable):
    """A key stands twice in one mapping, the second time on `line`."""


def line_of(event: Event) -> int:
    """The line an event begins on, counted from 0."""
    return event.start_mark.line if event.start_mark else 0


def parts(text: str) -> Iterator[tuple[FieldPath, object]]:
    """Each document at the path `()`, after each item of its list `items`, which is then empty in the document.

    Raises Unreadable where the text, from there on, makes no sense.
    """
    try:
        yield from _Composer(event_source(text).get_event).documents()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Unreadable(mark.line if mark else 0, error.problem or "is no YAML") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position)
        raise Unreadable(line, f"holds the character #x{error.character:04x}: {error.reason}") from None
    except UnknownTag as error:
        raise Unreadable(line_of(error.event), str(error)) from None


class _Composer:
    """The composing of one text's events, which `take` gives one after the other."""

    def __init__(self, take: Callable[[], Any]) -> None:
        self._take = take
        self._anchors: dict[str, tuple[object, int]] = {}
        self._values = 0
        self._aliased = 0

    def documents(self) -> Iterator[tuple[FieldPath, object]]:
        while not isinstance(event := self._take(), StreamEndEvent):
            if not isinstance(event, DocumentStartEvent):
                continue
            self._anchors.clear()
            root = self._take()
            if isinstance(root, MappingStartEvent):
                yield from self._document(root)
            else:
                yield DOCUMENT, self._value(root, 0)

    def _document(self, start: MappingStartEvent) -> Iterator[tuple[FieldPath, object]]:
        """A mapping's items, then the mapping."""
        mapping: dict[object, object] = {}
        merged: list[object] = []
        while not isinstance(event := self._take(), MappingEndEvent):
            key = self._key(event, mapping, 0)
            value = self._take()
            if key is _MERGE:
                merged.append(self._value(value, 1))
            elif key == ITEMS and isinstance(value, SequenceStartEvent) and value.anchor is None:
                index = 0
                while not isinstance(entry := self._take(), SequenceEndEvent):
                    yield (ITEMS, index), self._value(entry, 2)
                    index += 1
                mapping[key] = []
            else:
                mapping[key] = self._value(value, 1)
        yield DOCUMENT, _merge(mapping, merged, start)

    def _value(self, event: NodeEvent, depth: int) -> object:
        """The value that `event` begins, `depth` collections deep."""
        if isinstance(event, ScalarEvent):
            value = scalar(event)
            if event.anchor is not None:
                self._anchors[event.anchor] = value, 1
            return value
        if not isinstance(event, CollectionStartEvent):
            return self._aliased_value(event)
        if depth >= DEEPEST:
            raise Unreadable(line_of(event), f"is nested more than {DEEPEST} levels deep")
        if event.tag not in _COLLECTION_TAGS:
            raise UnknownTag(event)
        if event.anchor is None:
            return self._collection(event, depth + 1)
        # Until it is complete, a collection is nothing an alias can stand for: no value contains itself.
        self._anchors.pop(event.anchor, None)
        before = self._values
        value = self._collection(event, depth + 1)
        self._anchors[event.anchor] = value, self._values - before + 1
        return value

    def _collection(self, start: CollectionStartEvent, depth: int) -> object:
        take = self._take
        if isinstance(start, SequenceStartEvent):
            values = []
            while not isinstance(event := take(), SequenceEndEvent):
                values.append(self._value(event, depth))
            self._values += len(values)
            return values
        mapping: dict[object, object] = {}
        merged: list[object] = []
        while not isinstance(event := take(), MappingEndEvent):
            key = self._key(event, mapping, depth)
            event = take()
            if key is _MERGE:
                merged.append(self._value(event, depth))
            elif isinstance(event, ScalarEvent) and event.anchor is None:
                mapping[key] = scalar(event)
            else:
                mapping[key] = self._value(event, depth)
        self._values += len(mapping)
        return _merge(mapping, merged, start) if merged else mapping

    def _key(self, event: NodeEvent, mapping: dict[object, object], depth: int) -> object:
        """The key that `event` begins, or _MERGE for the merge key."""
        key = self._value(event, depth)
        if isinstance(key, str):
            if key == "<<" and isinstance(event, ScalarEvent) and event.implicit[0]:
                return _MERGE
        elif isinstance(key, dict | list):
            raise Unreadable(line_of(event), f"has {shown(key)} for a key")
        if key in mapping:
            raise RepeatedKey(line_of(event), f"has the key {shown(key)} twice in one mapping")
        return key

    def _aliased_value(self, event: NodeEvent) -> object:
        if event.anchor not in self._anchors:
            raise Unreadable(line_of(event), f"refers to {shown(event.anchor)}, which is not complete before it")
        value, size = self._anchors[event.anchor]
        self._values += size
        self._aliased += size
        if self._aliased > MOST_ALIASED:
            raise Unreadable(line_of(event), f"has aliases that stand for more than {MOST_ALIASED} values")
        return value


def _merge(mapping: dict[object, object], merged: list[object], start: Event) -> dict[object, object]:
    """The mapping with what its merge keys add: its own keys win, then those merged first."""
    found = dict(mapping)
    for value in merged:
        for source in value if isinstance(value, list) else [value]:
            if not isinstance(source, dict):
                raise Unreadable(line_of(start), f"merges {shown(source)}, which is no mapping")
            found = {**source, **found}
    return found
