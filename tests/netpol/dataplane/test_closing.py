"""What was opened for a block is closed after it."""

from __future__ import annotations

import pytest

from netpol.dataplane.closing import Closing


class Door(Closing):
    """Tells whether it is open."""

    is_open = True

    def close(self) -> None:
        self.is_open = False


def test_a_block_has_it_open() -> None:
    with Door() as door:
        assert door.is_open
    assert not door.is_open


def test_a_failure_closes_it_and_goes_on() -> None:
    door = Door()
    with pytest.raises(ZeroDivisionError), door:
        raise ZeroDivisionError
    assert not door.is_open
