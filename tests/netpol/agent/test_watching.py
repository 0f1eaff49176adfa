"""Whoever waits for changes, and what becomes of it."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

import pytest
from waiting import wait_until

from netpol.agent.watching import watching
from netpol.errors import KernelRefusal


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
    with watching("changes", lambda: told, alarms.append, stop):
        told.tell("chain NETPOL-INPUT of IPv4 was deleted")
        told.tell("chain INPUT of IPv4 was bereft of a rule")
        wait_until(lambda: len(alarms) == 2, "both were heard of")
        assert not stop.is_set()
    assert alarms == ["chain NETPOL-INPUT of IPv4 was deleted", "chain INPUT of IPv4 was bereft of a rule"]
    assert stop.is_set()
    assert told.is_closed


def test_a_kernel_that_tells_nothing_is_said_and_no_reason_to_end(caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> Told:
        raise KernelRefusal("Operation not permitted")

    stop = threading.Event()
    with watching("changes by others", refuse, lambda _: None, stop):
        assert not stop.is_set()
    assert "changes by others are found by comparing alone" in caplog.text


@pytest.mark.parametrize("error", [KernelRefusal("not told any more"), ZeroDivisionError()], ids=["refusal", "bug"])
def test_one_that_fails_is_said_and_no_reason_to_end(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    told, alarms = Told(), list[str | None]()
    with watching("changes", lambda: told, alarms.append, threading.Event()):
        told.tell(error)
        wait_until(lambda: "changes are found by comparing alone" in caplog.text, "it was said")
    assert alarms == []
