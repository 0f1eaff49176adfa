"""Waits after failures grow to their cap and no further."""

from __future__ import annotations

import pytest

from netpol.source.kube.backoff import Backoff


def test_waits_double_up_to_the_cap() -> None:
    backoff = Backoff(lambda: 1.0, first_seconds=0.2, most_seconds=1.0)
    assert [backoff.seconds() for _ in range(5)] == pytest.approx([0.2, 0.4, 0.8, 1.0, 1.0])


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_chance_takes_at_most_half(chance: float) -> None:
    backoff = Backoff(lambda: chance, first_seconds=10.0)
    assert 5.0 <= backoff.seconds() <= 10.0


def test_a_reset_begins_anew() -> None:
    backoff = Backoff(lambda: 1.0, first_seconds=0.2)
    assert backoff.seconds() < backoff.seconds()
    backoff.reset()
    assert backoff.seconds() == pytest.approx(0.2)


def test_a_wait_may_be_bounded_by_less() -> None:
    backoff = Backoff(lambda: 1.0, first_seconds=0.2, most_seconds=9.0)
    assert [backoff.seconds(most=0.5) for _ in range(4)] == pytest.approx([0.2, 0.4, 0.5, 0.5])
    assert backoff.seconds() > 1.0


def test_never_less_than_the_server_asks_for() -> None:
    backoff = Backoff(lambda: 0.0, first_seconds=0.2)
    assert backoff.seconds(asked=7.0) > 7.0
