"""A text is cut into the same lines however it comes, and no line takes more room than one may."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.audit.reader.lines import MOST_LINE_BYTES, Lines

PIECES = st.lists(st.text("ab\n", max_size=8).map(str.encode), max_size=8)


@given(PIECES)
def test_the_lines_are_those_of_the_whole_text(pieces: list[bytes]) -> None:
    lines = Lines()
    ended = [line for piece in pieces for line in lines.ended_by(piece)]
    assert [*ended, lines.begun()] == b"".join(pieces).split(b"\n")


def test_what_was_given_of_a_line_is_not_given_again() -> None:
    lines = Lines()
    assert (lines.ended_by(b"a"), lines.begun(), lines.begun()) == ([], b"a", b"")
    assert lines.ended_by(b"b\n") == [b"b"]


@pytest.mark.parametrize("more", [0, 1, 2, MOST_LINE_BYTES])
@pytest.mark.parametrize("piece_bytes", [1 << 16, 4 * MOST_LINE_BYTES])
def test_a_line_that_is_too_long_is_cut_where_that_shows(more: int, piece_bytes: int) -> None:
    text = b"x" * (MOST_LINE_BYTES + more) + b"\na\n"
    lines = Lines()
    pieces = (text[start : start + piece_bytes] for start in range(0, len(text), piece_bytes))
    assert [line for piece in pieces for line in lines.ended_by(piece)] == [
        b"x" * (MOST_LINE_BYTES + min(more, 1)),
        b"a",
    ]
