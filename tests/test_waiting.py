"""Waiting ends with an answer, or says what the last one was."""

from __future__ import annotations

import pytest
from waiting import NotYet, wait_until


def test_waiting_ends_with_the_last_answer() -> None:
    answers = iter([0, OSError("not there"), "yes"])

    def ask() -> object:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    assert wait_until(ask, "yes", seconds=10) == "yes"
    with pytest.raises(NotYet, match=r"never: not within 0 s: 0"):
        wait_until(lambda: 0, "never", seconds=0)
