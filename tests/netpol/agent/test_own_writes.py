"""Whose writes are the process's own, where several of its threads write."""

from __future__ import annotations

import pytest

from netpol.agent.own_writes import WritesOfAll


class Writer:
    """A writer that has begun and ended so many writes, by processes of these numbers."""

    def __init__(self, writes: int = 0, numbers: tuple[int, ...] = ()) -> None:
        self.writes = writes
        self._numbers = numbers

    def is_own(self, writer: int) -> bool:
        """True for the number of one of its processes."""
        return writer in self._numbers


def writes_of(*writers: Writer) -> WritesOfAll:
    own = WritesOfAll()
    for writer in writers:
        own.join(writer)
    return own


def test_a_process_of_either_is_our_own_and_no_other_is() -> None:
    own = writes_of(Writer(numbers=(7,)), Writer(numbers=(8, 9)))
    assert [own.is_own(number) for number in (7, 9, 10)] == [True, True, False]


@pytest.mark.parametrize(("told", "writes"), [((), 0), ((4,), 4), ((4, 6), 10), ((5, 6), 11), ((5, 7), 11)])
def test_the_number_is_odd_while_any_write_is_under_way(told: tuple[int, ...], writes: int) -> None:
    assert writes_of(*map(Writer, told)).writes == writes


def test_every_beginning_and_every_end_makes_it_another() -> None:
    """Also the end of one write while another goes on, which leaves it odd."""
    one, other = Writer(), Writer()
    own = writes_of(one, other)
    seen = [own.writes]
    for writer in (one, other, one, one, other, one):
        writer.writes += 1
        seen.append(own.writes)
    assert [number % 2 for number in seen] == [0, 1, 1, 1, 1, 1, 0]
    assert seen[-1] == 6
    assert seen == sorted(seen)
