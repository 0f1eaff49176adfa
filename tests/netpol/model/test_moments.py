"""Moments as text and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.model.moments import SECOND, parse_rfc3339, rfc3339

MOMENTS = st.integers(0, 250_000_000_000 * SECOND)


@given(MOMENTS)
def test_a_text_names_its_moment_to_the_microsecond(moment: int) -> None:
    assert parse_rfc3339(rfc3339(moment)) == moment


@given(MOMENTS, MOMENTS)
def test_texts_compare_as_moments_do(one: int, other: int) -> None:
    assert (rfc3339(one) < rfc3339(other)) == (one < other)


def test_whole_seconds_have_their_microseconds_too() -> None:
    assert rfc3339(5 * SECOND) == "1970-01-01T00:00:05.000000Z"


@pytest.mark.parametrize("text", ["", "yesterday", "2023-11-14T22:13:20"])
def test_what_names_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"isoformat|zone"):
        parse_rfc3339(text)
