"""When the interpreter is told that the start is over."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest

from netpol.agent import settling
from netpol.agent.settling import Settling


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """The tests' own interpreter is as it was."""
    thresholds, turn = gc.get_threshold(), sys.getswitchinterval()
    yield
    gc.set_threshold(*thresholds)
    sys.setswitchinterval(turn)
    gc.unfreeze()


def test_turns_are_long_at_the_start_and_short_once_it_has_settled() -> None:
    settling.start()
    assert gc.get_threshold()[0] == 50_000
    assert sys.getswitchinterval() == pytest.approx(0.02)
    settling.settle()
    assert sys.getswitchinterval() == pytest.approx(0.005)
    assert gc.get_freeze_count() > 0


def test_it_settles_with_the_last_controller_that_has_programmed_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    settled: list[str] = []
    monkeypatch.setattr(settling, "settle", lambda: settled.append("settled"))
    both = Settling(2)
    both.one()
    assert settled == []
    both.one()
    assert settled == ["settled"]
