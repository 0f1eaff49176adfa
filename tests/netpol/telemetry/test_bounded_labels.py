from __future__ import annotations

import threading

from netpol.telemetry.bounded_labels import OTHER, BoundedLabels


def test_the_first_are_told_apart_and_stay_so() -> None:
    labels = BoundedLabels(2)

    assert [labels.bounded(each, "x") for each in "abcab"] == [
        ("a", "x"),
        ("b", "x"),
        (OTHER, OTHER),
        ("a", "x"),
        ("b", "x"),
    ]


def test_values_are_told_apart_by_their_places() -> None:
    labels = BoundedLabels(1)

    assert labels.bounded("a", "b") == ("a", "b")
    assert labels.bounded("b", "a") == (OTHER, OTHER)


def test_threads_that_ask_at_once_get_no_more_than_the_bound() -> None:
    labels = BoundedLabels(10)
    told: set[tuple[str, ...]] = set()
    threads = [
        threading.Thread(target=lambda: told.update(labels.bounded(str(each)) for each in range(100))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(told) == 11
