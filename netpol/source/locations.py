"""The lines of a document's fields, found by parsing it once more: only wrong documents need them."""

from __future__ import annotations

from collections.abc import Iterable

import yaml
from yaml.events import (
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from netpol.source.composer import event_source, line_of
from netpol.source.fields import FieldPath, shown
from netpol.source.scalars import scalar

_STARTS = (MappingStartEvent, SequenceStartEvent)
_ENDS = (MappingEndEvent, SequenceEndEvent)


class Lines:
    """Where the fields at some paths of the first document of a text stand."""

    def __init__(self, text: bytes, paths: Iterable[FieldPath]) -> None:
        self._wanted = {path[:length] for path in paths for length in range(len(path) + 1)}
        self._lines: dict[FieldPath, int] = {}
        try:
            self._take = event_source(text.decode(errors="replace")).get_event
            self._read()
        except (yaml.YAMLError, ValueError):
            # JSON that is no YAML (a surrogate pair, say): what was found so far has to do.
            pass

    def line(self, path: FieldPath) -> int:
        """The line of the field at `path`, counted from 0; of what should hold it where it is not there."""
        for length in range(len(path), -1, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return 0

    def _read(self) -> None:
        while not isinstance(event := self._take(), StreamEndEvent):
            if isinstance(event, DocumentStartEvent):
                root = self._take()
                self._lines[()] = line_of(root)
                self._enter(root, ())
                return

    def _enter(self, event: Event, path: FieldPath) -> None:
        """Read the value that `event` begins, noting the lines wanted in it."""
        if path not in self._wanted:
            self._skip(event)
        elif isinstance(event, MappingStartEvent):
            self._enter_mapping(path)
        elif isinstance(event, SequenceStartEvent):
            index = 0
            while not isinstance(entry := self._take(), SequenceEndEvent):
                self._note((*path, index), entry)
                self._enter(entry, (*path, index))
                index += 1

    def _enter_mapping(self, path: FieldPath) -> None:
        while not isinstance(key := self._take(), MappingEndEvent):
            if isinstance(key, ScalarEvent):
                name = scalar(key)
                entry = (*path, name if isinstance(name, str) else shown(name))
                self._note(entry, key)
                self._enter(self._take(), entry)
            else:
                self._skip(key)
                self._skip(self._take())

    def _note(self, path: FieldPath, event: Event) -> None:
        if path in self._wanted:
            self._lines[path] = line_of(event)

    def _skip(self, event: Event) -> None:
        depth = 0
        while True:
            depth += isinstance(event, _STARTS) - isinstance(event, _ENDS)
            if depth == 0:
                return
            event = self._take()
