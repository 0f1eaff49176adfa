"""Records as they are written, for as long as somebody reads them."""

from __future__ import annotations

import argparse
import select
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from netpol.audit.reader.following import FollowedLog
from netpol.audit.reader.reading import Entry, Tally, chosen
from netpol.command.audit_selection import is_stream, path_of, say, selection_of, stream_lines
from netpol.model.moments import Moment

FIRST_SHOWN = 10
"""So many of the records that were there before are shown where no time is asked for, as `journalctl` does."""

_PAUSE_MILLISECONDS = 250


def followed_entries(arguments: argparse.Namespace, pause: Callable[[], None]) -> Iterator[list[Entry]]:
    """The records that the flags choose, as they come, until standard input ends; a file never does.

    `pause` is called where a file has nothing new. What is in no record is said as soon as it is known.
    """
    selection, path = selection_of(arguments), path_of(arguments)
    if is_stream(path):
        rounds: Iterator[Iterator[bytes]] = (iter((line,)) for line in stream_lines(path))
    else:
        rounds = _written(path, selection.since, pause)
        if selection.since is None:
            yield list(deque(chosen(next(rounds), selection, Tally()), FIRST_SHOWN))
    others = 0
    for lines in rounds:
        tally = Tally()
        for entry in chosen(lines, selection, tally):
            yield [entry]
        say(Tally(lost=tally.lost))
        others += tally.others
    say(Tally(others))


def pause() -> None:
    """Some time has passed; BrokenPipeError where nobody reads what is printed any more."""
    reader = select.poll()
    reader.register(sys.stdout.fileno(), 0)
    if reader.poll(_PAUSE_MILLISECONDS):
        raise BrokenPipeError


def _written(path: Path, since: Moment | None, pause: Callable[[], None]) -> Iterator[Iterator[bytes]]:
    """The lines of the log that are there, then, for ever, those that came since."""
    now = time.time_ns() // 1000
    with closing(FollowedLog(path, now if since is None else since)) as log:
        yield log.new_lines()
        if not log.found:
            print(f"netpol: there is no {path} yet", file=sys.stderr)
        while True:
            pause()
            yield log.new_lines()
