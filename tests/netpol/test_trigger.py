"""Waking a thread."""

from __future__ import annotations

import threading

from netpol.trigger import Trigger


def test_a_pull_before_the_wait_is_kept_once() -> None:
    trigger = Trigger()
    trigger.pull()
    trigger.pull()

    assert trigger.wait(0)
    assert not trigger.wait(0)


def test_a_pull_ends_a_wait_under_way() -> None:
    trigger = Trigger()
    puller = threading.Timer(0.02, trigger.pull)
    puller.start()

    assert trigger.wait(10)
    puller.join()
