"""A thread that keeps a part of the kernel, whatever part that is."""

from __future__ import annotations

import pytest
from waiting import wait_until

from netpol.agent import control_thread
from netpol.agent.control_thread import ControlThread
from netpol.bus import Bus
from netpol.model.facts import Fact, Key, Kind

NODE = Fact(Key(Kind.NODE, "", "n1"), "a node")


class Taking(ControlThread):
    """It takes what is recorded."""

    def __init__(self, bus: Bus) -> None:
        super().__init__("taking", bus, (Kind.NODE,))
        self.taken: list[Fact] = []

    def keep(self) -> None:
        """It has taken all that came."""
        while not self.stopping.is_set():
            self.trigger.wait(60.0)
            self.taken += self.subscription.take()


class Failing(ControlThread):
    """It dies."""

    def keep(self) -> None:
        """Never."""
        raise ZeroDivisionError("of something")


def test_it_is_woken_by_facts_and_by_its_end() -> None:
    bus = Bus()
    thread = Taking(bus)
    thread.start()
    bus.record(NODE)
    wait_until(lambda: thread.taken == [NODE], "the fact was taken")
    assert thread.is_alive()
    thread.stop()
    assert not thread.is_alive()
    assert thread.error is None


def test_what_it_dies_of_is_kept_and_told(caplog: pytest.LogCaptureFixture) -> None:
    thread = Failing("failing", Bus(), (Kind.NODE,))
    thread.start()
    wait_until(lambda: not thread.is_alive(), "it has ended")
    assert isinstance(thread.error, ZeroDivisionError)
    assert "the failing thread ended" in caplog.text


def test_one_that_does_not_end_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(control_thread, "STOP_SECONDS", 0.01)
    thread = Taking(Bus())
    monkeypatch.setattr(thread, "ask_to_stop", lambda: None)
    thread.start()
    thread.stop()
    assert "the taking thread does not end" in caplog.text
    monkeypatch.undo()
    thread.stop()
    assert not thread.is_alive()
