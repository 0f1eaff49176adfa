"""Whoever waits for changes, and what becomes of it."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

import pytest
from waiting import wait_until

from netpol.agent import watching as watching_module
from netpol.agent.watching import watching
from netpol.errors import KernelRefusal

MISSED: str | None = "missed"


class Told:
    """Changes of others, as a test tells them: words, or an error."""

    def __init__(self) -> None:
        self._news: list[str | Exception] = []
        self._something = threading.Condition()
        self._is_stopped = False
        self.is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.is_closed = True

    def tell(self, news: str | Exception) -> None:
        """Whoever waits hears this."""
        with self._something:
            self._news.append(news)
            self._something.notify_all()

    def wait(self, timeout_seconds: float) -> str | None:
        """The next of the news; None after the end."""
        with self._something:
            self._something.wait_for(lambda: self._news or self._is_stopped, timeout_seconds)
            if not self._news:
                return None
            news = self._news.pop(0)
        if isinstance(news, Exception):
            raise news
        return news

    def stop(self) -> None:
        """Nobody waits any more."""
        with self._something:
            self._is_stopped = True
            self._something.notify_all()


def test_each_change_is_an_alarm_until_the_end() -> None:
    told, alarms, stop = Told(), list[str | None](), threading.Event()
    with watching("changes", lambda: told, alarms.append, MISSED, stop):
        told.tell("chain NETPOL-INPUT of IPv4 was deleted")
        told.tell("chain INPUT of IPv4 was bereft of a rule")
        wait_until(lambda: len(alarms) == 2, "both were heard of")
        assert not stop.is_set()
    assert alarms == ["chain NETPOL-INPUT of IPv4 was deleted", "chain INPUT of IPv4 was bereft of a rule"]
    assert stop.is_set()
    assert told.is_closed


def test_a_kernel_that_tells_nothing_is_said_and_asked_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching_module, "FIRST_SECONDS", 0.01)
    refusals, told, alarms = [KernelRefusal("Operation not permitted")] * 3, Told(), list[str | None]()

    def open_changes() -> Told:
        if refusals:
            raise refusals.pop()
        return told

    with watching("changes by others", open_changes, alarms.append, MISSED, threading.Event()):
        wait_until(lambda: alarms == ["missed"], "what was missed is looked for")
        told.tell("chain INPUT of IPv4 was bereft of a rule")
        wait_until(lambda: len(alarms) == 2, "it was heard of")
    assert caplog.text.count("changes by others are found by comparing alone") == 3
    assert told.is_closed


@pytest.mark.parametrize("error", [KernelRefusal("not told any more"), ZeroDivisionError()], ids=["refusal", "bug"])
def test_one_that_fails_is_said_and_opened_again(
    error: Exception, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching_module, "FIRST_SECONDS", 0.01)
    first, second, alarms = Told(), Told(), list[str | None]()
    left = [first, second]
    with watching("changes", lambda: left.pop(0), alarms.append, MISSED, threading.Event()):
        first.tell(error)
        wait_until(lambda: alarms == ["missed"], "what was missed is looked for")
        assert "changes are found by comparing alone" in caplog.text
        assert first.is_closed
        second.tell("chain NETPOL-INPUT of IPv4 was deleted")
        wait_until(lambda: len(alarms) == 2, "the second is heard")
    assert alarms == ["missed", "chain NETPOL-INPUT of IPv4 was deleted"]
    assert second.is_closed


def test_pauses_grow_up_to_a_bound_while_it_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0.0)
            return super().wait(0)

    def refuse() -> Told:
        raise KernelRefusal("Operation not permitted")

    monkeypatch.setattr("random.random", lambda: 1.0)
    with watching("changes", refuse, lambda _: None, MISSED, Stop()):
        wait_until(lambda: len(pauses) > 10, "it was tried often")
    assert pauses[:10] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


def test_an_end_is_not_waited_for_in_a_pause(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching_module, "FIRST_SECONDS", 3600.0)
    monkeypatch.setattr(watching_module, "MOST_SECONDS", 3600.0)
    told, alarms = Told(), list[str | None]()
    with watching("changes", lambda: told, alarms.append, MISSED, threading.Event()):
        told.tell(KernelRefusal("not told any more"))
        wait_until(lambda: "changes are found by comparing alone" in caplog.text, "it was said")
    assert alarms == []
