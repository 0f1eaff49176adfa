"""The look follows what a stream can show."""

from __future__ import annotations

import io

import pytest

from netpol.command.look import ASCII, UNICODE, Look, Paint, Symbols, look_of


def test_text_is_painted_where_there_are_colours() -> None:
    assert Look(coloured=True).painted("no", Paint.REFUSED) == "\x1b[31mno\x1b[0m"
    assert Look().painted("no", Paint.REFUSED) == "no"


class _Stream(io.TextIOWrapper):
    """A stream with this encoding that says whether it is a terminal."""

    def __init__(self, encoding: str, *, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize(
    ("encoding", "terminal", "environment", "symbols", "coloured"),
    [
        ("utf-8", True, {"TERM": "xterm"}, UNICODE, True),
        ("utf-8", False, {"TERM": "xterm"}, UNICODE, False),
        ("utf-8", True, {"NO_COLOR": "1"}, UNICODE, False),
        ("utf-8", True, {"NO_COLOR": ""}, UNICODE, True),
        ("utf-8", True, {"TERM": "dumb"}, UNICODE, False),
        ("ascii", True, {}, ASCII, True),
        ("iso-8859-1", False, {}, ASCII, False),
    ],
)
def test_the_look_follows_the_stream_and_the_environment(
    encoding: str, terminal: bool, environment: dict[str, str], symbols: Symbols, coloured: bool
) -> None:
    assert look_of(_Stream(encoding, terminal=terminal), environment, 99) == Look(symbols, coloured, 99)


def test_a_stream_without_an_encoding_gets_ascii() -> None:
    assert look_of(io.StringIO(), {}, 80) == Look(ASCII, coloured=False, width=80)
