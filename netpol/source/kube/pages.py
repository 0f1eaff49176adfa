"""What the bytes of a list's page and of a watch's lines are: objects still undecoded, and where they stand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

LONGEST_LINE_BYTES = 64 << 20
"""Far beyond what etcd stores in one object; a line without an end must not fill the memory."""


class Garbled(ValueError):
    """The bytes are not what an API server sends."""


class _ListMetadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _List(msgspec.Struct):
    kind: str
    metadata: _ListMetadata
    items: list[msgspec.Raw] | None


class Page(msgspec.Struct, frozen=True):
    """A part of a list; `following` is the token that the next part is asked for with, "" on the last one."""

    items: tuple[msgspec.Raw, ...]
    version: str
    following: str = ""


class Event(msgspec.Struct, frozen=True):
    """A line of a watch; the object is a Status where `type` is ERROR."""

    type: str
    object: msgspec.Raw


class Header(msgspec.Struct, frozen=True, rename="camel"):
    """Which object it is, and in which version; the uid may be anything that JSON knows."""

    name: str = ""
    namespace: str = ""
    uid: Any = ""
    resource_version: str = ""


class _Object(msgspec.Struct):
    metadata: Header


_lists = msgspec.json.Decoder(_List)
_events = msgspec.json.Decoder(Event)
_objects = msgspec.json.Decoder(_Object)


def decode_page(body: bytes, kind: str) -> Page:
    """The page of a list of `kind`; Garbled where it is anything else, for that must not be read as an empty list."""
    try:
        found = _lists.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Garbled(f"the answer is no list: {error}") from None
    if found.kind != f"{kind}List" or not found.metadata.resource_version:
        raise Garbled(f"the answer is a {found.kind!r}, and no {kind}List at a resourceVersion")
    return Page(tuple(found.items or ()), found.metadata.resource_version, found.metadata.continue_)


def decode_event(line: bytes) -> Event:
    """The event of a line; Garbled where it is none."""
    try:
        return _events.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Garbled(f"a line is no event: {error}") from None


def decode_header(item: msgspec.Raw) -> Header:
    """The header of an object; Garbled where it cannot be told which object it is."""
    try:
        return _objects.decode(item).metadata
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Garbled(f"an object has no readable metadata: {error}") from None


class Lines:
    """The lines of a stream that comes in chunks of any size."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Each line that this chunk ends; empty ones are left out, Garbled where one is too long."""
        first, *rest = chunk.split(b"\n")
        self._begun.append(first)
        self._size += len(first)
        if self._size > LONGEST_LINE_BYTES:
            raise Garbled(f"a line is longer than {LONGEST_LINE_BYTES} bytes")
        if not rest:
            return
        *whole, begun = (b"".join(self._begun), *rest)
        self._begun = [begun]
        self._size = len(begun)
        yield from filter(None, map(bytes.strip, whole))
