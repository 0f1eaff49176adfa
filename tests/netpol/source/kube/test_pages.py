"""Bytes of lists and watches, whole, in pieces, and broken."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from netpol.source.kube import pages
from netpol.source.kube.pages import Garbled, Lines, decode_event, decode_header, decode_page

PAGE = {"kind": "PodList", "metadata": {"resourceVersion": "7", "continue": "next"}, "items": [{"a": 1}, {"b": 2}]}


def body(**changes: object) -> bytes:
    fields = {**PAGE, **changes}
    return json.dumps({key: value for key, value in fields.items() if value != "absent"}).encode()


def test_a_page_has_its_objects_undecoded() -> None:
    page = decode_page(body(), "Pod")
    assert [json.loads(bytes(item)) for item in page.items] == [{"a": 1}, {"b": 2}]
    assert (page.version, page.following) == ("7", "next")


def test_no_items_may_be_null() -> None:
    assert decode_page(body(items=None), "Pod").items == ()


@pytest.mark.parametrize(
    "broken",
    [
        body()[:-1],
        body(items="absent"),
        body(metadata="absent"),
        body(metadata={}),
        body(kind="Status"),
        body(kind="NodeList"),
        body(items={}),
        b"<html>not ready</html>",
        b"",
        b"[" * 100_000,
    ],
)
def test_what_is_no_list_is_no_empty_list(broken: bytes) -> None:
    with pytest.raises(Garbled):
        decode_page(broken, "Pod")


def test_an_event_has_its_object_undecoded() -> None:
    event = decode_event(b'{"type":"ADDED","object":{"metadata":{"name":"a"}}}')
    assert (event.type, decode_header(event.object).name) == ("ADDED", "a")


@pytest.mark.parametrize("line", [b"{", b'{"type":"ADDED"}', b'{"object":{}}', b"nonsense", b'{"type":1,"object":{}}'])
def test_a_line_that_is_no_event_is_garbled(line: bytes) -> None:
    with pytest.raises(Garbled):
        decode_event(line)


@pytest.mark.parametrize("item", [b"{}", b'{"metadata":null}', b'{"metadata":{"name":5}}', b"[]", b'"a"'])
def test_an_object_without_readable_metadata_is_garbled(item: bytes) -> None:
    with pytest.raises(Garbled):
        decode_header(Raw(item))


@given(
    lines=st.lists(st.binary().filter(lambda line: b"\n" not in line and line.strip())),
    cuts=st.lists(st.integers(0, 200)),
)
def test_lines_are_the_same_in_whatever_chunks_they_come(lines: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    splitting = Lines()
    found = [line for start, end in itertools.pairwise(places) for line in splitting.feed(stream[start:end])]
    assert found == [line.strip() for line in lines]


def test_a_line_without_its_end_is_none_yet() -> None:
    lines = Lines()
    assert list(lines.feed(b'{"type"')) == []
    assert list(lines.feed(b":1}\n\n \n{")) == [b'{"type":1}']


def test_a_line_without_any_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "LONGEST_LINE_BYTES", 100)
    lines = Lines()
    assert list(lines.feed(b"x" * 60)) == []
    with pytest.raises(Garbled, match="longer"):
        list(lines.feed(b"x" * 60))
