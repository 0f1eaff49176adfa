"""What stood under a key, for as long as that is remembered."""

from __future__ import annotations

import pytest

from netpol.audit.history import timeline as subject
from netpol.audit.history.timeline import LATENESS, NAMED_FOR, Former, Memory, Timeline, TimelineAt
from netpol.model.moments import SECOND, Moment

REMEMBERED = NAMED_FOR + LATENESS


class Kept:
    """A dict with its timeline, changed at given moments."""

    def __init__(self, began: Moment = 0) -> None:
        self.memory = Memory(began)
        self.current: dict[str, str] = {}
        self.timeline = Timeline(self.current, self.memory)

    def put(self, name: str, value: str | None, now: Moment) -> None:
        self.memory.advance(now)
        before = self.current.get(name)
        if value is None:
            del self.current[name]
        else:
            self.current[name] = value
        self.timeline.replaced(name, before)


def test_each_moment_has_the_value_of_then() -> None:
    kept = Kept()
    for value, now in (("a", 10), ("b", 20), (None, 30), ("c", 40)):
        kept.put("key", value, now)
    told = {moment: kept.timeline.at("key", moment) for moment in (9, 10, 19, 20, 29, 30, 39, 40, 99)}
    assert told == {9: None, 10: "a", 19: "a", 20: "b", 29: "b", 30: None, 39: None, 40: "c", 99: "c"}


def test_what_stood_there_last_is_told_with_its_end() -> None:
    kept = Kept()
    for value, now in (("a", 10), (None, 20), ("b", 30), (None, 40)):
        kept.put("key", value, now)
    assert kept.timeline.last("key", 45) == Former("b", 40)
    assert kept.timeline.last("key", 40) == Former("b", 40)
    assert kept.timeline.last("key", 39) == Former("a", 20)
    assert kept.timeline.last("key", 19) is None
    assert kept.timeline.last("other", 45) is None


def test_what_held_before_anything_is_remembered_is_not_kept() -> None:
    kept = Kept(began=100)
    kept.put("key", "a", 100)
    assert kept.timeline.last("key", 100) is None
    assert kept.timeline.at("key", 100) == "a"
    assert kept.memory.since == 100


def test_it_forgets_after_its_time_and_says_so() -> None:
    kept = Kept()
    kept.put("key", "a", 1)
    kept.put("key", "b", 2)
    kept.memory.advance(1 + REMEMBERED)
    assert kept.timeline.at("key", 1) == "a"
    assert kept.memory.since == 1
    kept.memory.advance(2 + REMEMBERED)
    assert kept.timeline.names() == {"key"}
    assert kept.timeline.last("key", 3) is None
    assert kept.memory.since == 2


def test_a_key_that_changes_on_and_on_is_remembered_less_far() -> None:
    kept = Kept()
    for now in range(1, subject.MOST_FORMER + 11):
        kept.put("key", f"value {now}", now)
    # The changes after the first: 100 former values are kept, those of the last 100 changes.
    assert kept.memory.since == 10
    assert kept.timeline.at("key", 10) == "value 10"


def test_keys_beyond_the_most_are_forgotten_from_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "MOST_KEYS", 2)
    kept = Kept()
    for now, name in enumerate(("first", "second", "third"), start=1):
        kept.put(name, "value", now * SECOND)
    assert kept.memory.since == SECOND
    assert kept.timeline.at("second", 2 * SECOND - 1) is None


def test_a_moment_is_a_mapping() -> None:
    kept = Kept()
    kept.put("gone", "a", 10)
    kept.put("stays", "b", 10)
    kept.put("gone", None, 20)
    kept.put("new", "c", 30)
    then = TimelineAt(kept.timeline, 15)
    assert dict(then) == {"gone": "a", "stays": "b"}
    assert len(then) == 2
    assert "new" not in then
    assert then.get("new") is None
    assert set(TimelineAt(kept.timeline, 30)) == {"stays", "new"}
