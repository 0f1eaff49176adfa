"""Where lists are cut, and that no name is lost from the count."""

from __future__ import annotations

import pytest

from netpol.listing import first_lines, listed


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, ""), (1, "n0"), (2, "n0 and n1"), (4, "n0, n1, n2 and n3"), (5, "n0, n1, n2 and 2 more")],
)
def test_a_sentence_holds_four_things_at_most(count: int, words: str) -> None:
    assert listed((f"n{number}" for number in range(count)), 4) == words


@pytest.mark.parametrize(("most", "words"), [(1, "3 more"), (2, "1 and 2 more"), (3, "1, 2 and 3")])
def test_the_number_of_the_others_stands_in_the_last_place(most: int, words: str) -> None:
    assert listed([1, 2, 3], most) == words


@pytest.mark.parametrize(
    ("count", "lines"),
    [(0, []), (2, ["0", "1"]), (3, ["0", "1", "... and 1 more"]), (9, ["0", "1", "... and 7 more"])],
)
def test_lines_beyond_the_first_are_counted(count: int, lines: list[str]) -> None:
    assert first_lines(range(count), 2) == lines
