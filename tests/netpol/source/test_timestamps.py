"""Times of every form that RFC 3339 allows, in the order of the clock."""

from __future__ import annotations

import pytest

from netpol.source.timestamps import canonical_time


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00.000000Z"),
        ("2024-01-01t00:00:00z", "2024-01-01T00:00:00.000000Z"),
        ("2024-01-01T00:00:00.5Z", "2024-01-01T00:00:00.500000Z"),
        ("2024-01-01T00:00:00.123456789Z", "2024-01-01T00:00:00.123456Z"),
        ("2024-01-01T00:30:00+01:00", "2023-12-31T23:30:00.000000Z"),
        ("2023-12-31T20:00:00.25-05:30", "2024-01-01T01:30:00.250000Z"),
        ("2024-02-29T00:00:00-00:00", "2024-02-29T00:00:00.000000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
    ],
)
def test_one_moment_has_one_text(text: str, canonical: str) -> None:
    assert canonical_time(text) == canonical


def test_x1_later_is_greater_whatever_the_form() -> None:
    in_order = [
        "2024-01-01T02:00:00+05:00",
        "2023-12-31T22:00:00Z",
        "2023-12-31T22:00:00.000001Z",
        "2023-12-31T22:00:00.5Z",
        "2023-12-31T20:00:01-02:00",
        "2024-01-01T00:00:00Z",
    ]
    assert sorted(in_order, key=canonical_time) == in_order


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2024-01-01",
        "20240101T000000Z",
        "2024-01-01 00:00:00Z",
        "2024-01-01T00:00:00",
        "2024-01-01T00:00Z",
        "2024-01-01T00:00:00+0100",
        "2024-01-01T00:00:00.Z",
        "2024-01-01T00:00:00Z\n",
        "2024-13-01T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:00:60Z",
        "2024-01-01T00:00:00+24:00",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "٢٠٢٤-01-01T00:00:00Z",
    ],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        canonical_time(text)
