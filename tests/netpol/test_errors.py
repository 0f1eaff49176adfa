"""What an error says, and the status it ends a command with."""

from __future__ import annotations

import pytest

from netpol.errors import MOST_PROBLEMS, InputError, KernelRefusal, NetpolError, UsageError


@pytest.mark.parametrize(
    ("error", "status"),
    [(NetpolError("x"), 1), (KernelRefusal("x"), 1), (UsageError("x"), 2), (InputError(["x"]), 2)],
)
def test_wrong_usage_and_input_are_told_from_work_that_failed(error: NetpolError, status: int) -> None:
    assert isinstance(error, NetpolError)
    assert (error.exit_status, str(error)) == (status, "x")


def test_an_input_error_is_a_line_for_each_problem() -> None:
    error = InputError(["a.yaml:1: one", "b.yaml:2: two"])
    assert str(error).splitlines() == list(error.problems) == ["a.yaml:1: one", "b.yaml:2: two"]


def test_an_input_error_says_the_first_problems_and_keeps_them_all() -> None:
    error = InputError([f"a.yaml:{line}: wrong" for line in range(MOST_PROBLEMS + 3)])
    lines = str(error).splitlines()
    assert lines[:-1] == list(error.problems[:MOST_PROBLEMS])
    assert lines[-1] == "... and 3 more"
    assert len(error.problems) == MOST_PROBLEMS + 3
