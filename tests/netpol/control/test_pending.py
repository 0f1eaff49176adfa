"""Facts are told once the kernel holds them, each in its latest state."""

from __future__ import annotations

from collections.abc import Sequence

from builders import namespace

from netpol.control.pending import PendingFacts
from netpol.model.facts import Fact, Key, Kind
from netpol.model.moments import Moment

Told = list[tuple[Sequence[Fact], Moment, Moment]]


def fact(name: str, *, deny: bool = False) -> Fact:
    return Fact(Key(Kind.NAMESPACE, "", name), namespace(name, deny=deny))


def following(told: Told) -> PendingFacts:
    clock = iter(range(100, 200))
    return PendingFacts(lambda *call: told.append(call), lambda: next(clock))


def test_nothing_is_told_before_the_kernel_holds_it() -> None:
    told: Told = []
    following(told).take([fact("a")])
    assert told == []


def test_the_first_facts_may_have_been_in_the_kernel_for_any_time() -> None:
    told: Told = []
    pending = following(told)
    pending.take([fact("a")])
    pending.settle()
    assert told == [((fact("a"),), 0, 100)]


def test_facts_are_told_with_the_moments_between_which_they_were_written() -> None:
    told: Told = []
    pending = following(told)
    pending.take([fact("a")])
    pending.settle()
    pending.take([fact("b")])
    pending.settle()
    assert told[1:] == [((fact("b"),), 101, 102)]


def test_what_was_refused_is_told_in_its_latest_state_since_its_first_attempt() -> None:
    told: Told = []
    pending = following(told)
    pending.take([fact("c")])
    pending.settle()
    pending.take([fact("a"), fact("b")])
    pending.take([fact("a", deny=True)])
    pending.settle()
    assert told[1:] == [((fact("a", deny=True), fact("b")), 101, 102)]


def test_what_was_told_is_not_told_again() -> None:
    told: Told = []
    pending = following(told)
    pending.take([fact("a")])
    pending.settle()
    pending.settle()
    pending.take([])
    pending.settle()
    assert len(told) == 1
