"""What did not arrive shows in the numbers of what did."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netpol.audit.capture.frames import Frame
from netpol.audit.capture.losses import Gaps


def numbered(*numbers: int | None) -> list[Frame]:
    return [Frame(b"", 0, b"", number) for number in numbers]


def lost(*batches: list[Frame]) -> int:
    gaps = Gaps()
    for batch in batches:
        gaps.count(batch)
    return gaps.lost


def test_nothing_is_missing_where_numbers_follow_one_another() -> None:
    assert lost(numbered(0, 1, 2), numbered(3), numbered(4, 5)) == 0


def test_what_was_lost_before_the_first_shows_too() -> None:
    assert lost(numbered(5)) == 5


def test_gaps_between_and_within_batches() -> None:
    assert lost(numbered(0, 1), numbered(4, 5), numbered(6, 9)) == 4


def test_numbers_begin_again_after_the_last() -> None:
    gaps = Gaps()
    gaps.count(numbered((1 << 32) - 2))
    before = gaps.lost
    gaps.count(numbered((1 << 32) - 1, 0))
    gaps.count(numbered(3))
    assert gaps.lost - before == 2


def test_packets_without_numbers_tell_of_no_loss() -> None:
    assert lost(numbered(None, None), numbered(None, 0, 1), [], numbered(2)) == 0


@given(st.lists(st.booleans(), min_size=1, max_size=50), st.integers(1, 5))
def test_what_arrived_and_what_is_missing_is_all_up_to_the_last_that_arrived(arrives: list[bool], size: int) -> None:
    arrived = [number for number, does in enumerate(arrives) if does]
    batches = [numbered(*arrived[start : start + size]) for start in range(0, len(arrived), size)]
    assert lost(*batches) + len(arrived) == max(arrived, default=-1) + 1
