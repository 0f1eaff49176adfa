"""On average no more is spent than grows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.audit.capture.throttle import Budget


def test_at_first_there_is_all_that_there_can_be() -> None:
    assert Budget(10.0, 25.0).left(1000.0) == 25.0


def test_it_grows_with_time_up_to_the_most() -> None:
    budget = Budget(10.0, 25.0)
    budget.spend(20, 1000.0)
    assert [budget.left(1000.0 + seconds) for seconds in (0, 1, 2, 9)] == [5.0, 15.0, 25.0, 25.0]


def test_what_was_spent_too_much_takes_its_time() -> None:
    budget = Budget(10.0, 25.0)
    assert budget.overdrawn_seconds(0.0) == 0
    budget.spend(30, 0.0)
    assert budget.left(0.0) == -5.0
    assert budget.overdrawn_seconds(0.0) == pytest.approx(0.5)
    assert budget.overdrawn_seconds(0.5) == 0


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 5)), max_size=50))
def test_who_waits_while_it_is_overdrawn_spends_no_more_than_grew(steps: list[tuple[float, float]]) -> None:
    budget, at, spent = Budget(10.0, 25.0), 0.0, 0.0
    for pause, amount in steps:
        at += pause + budget.overdrawn_seconds(at + pause)
        assert spent <= 25.0 + 10.0 * at + 1e-6
        budget.spend(amount, at)
        spent += amount
