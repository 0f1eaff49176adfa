"""Connections that are opened all the while something else happens, to find a wrong verdict of any moment."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from stream import Streams

from netpol.lab.prober import Probe

PAUSE_SECONDS = 0.05
LEAST_ROUNDS = 20


@contextmanager
def judged_throughout(allowed: Sequence[Probe], denied: Sequence[Probe]) -> Iterator[None]:
    """All the while inside, every opening of the `allowed` has arrived and none of the `denied`.

    Nothing else may be sent from the same pods meanwhile: the source ports are drawn in another thread.
    """
    over = threading.Event()
    failures: list[BaseException] = []
    with Streams([*allowed, *denied]) as streams:

        def send() -> None:
            try:
                while not over.wait(PAUSE_SECONDS) or max(streams.sent.values()) < LEAST_ROUNDS:
                    streams.open_round()
            except BaseException as failure:
                failures.append(failure)

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        assert not failures, failures
        streams.finish()
    assert max(streams.sent.values()) >= LEAST_ROUNDS
    lost = {str(each): streams.sent[each] - streams.arrived[each] for each in allowed}
    let_in = {str(each): streams.arrived[each] for each in denied}
    assert (lost, let_in) == (dict.fromkeys(lost, 0), dict.fromkeys(let_in, 0))
