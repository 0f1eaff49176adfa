"""Records as they are written, for as long as somebody reads them."""

from __future__ import annotations

import argparse
import select
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from netpol.audit.clock import wall_clock
from netpol.audit.reader.following import FollowedLog
from netpol.audit.reader.reading import Entry, Missing, chosen
from netpol.command.audit_selection import is_stream, path_of, say_missing, selection_of, stream_lines
from netpol.model.moments import Moment

FIRST_SHOWN = 10
"""So many of the records that were there before are shown where no time is asked for, as `journalctl` does."""

_PAUSE_MILLISECONDS = 250


def followed_entries(arguments: argparse.Namespace, wait: Callable[[], None]) -> Iterator[list[Entry]]:
    """The records that the flags choose, as they come, until standard input ends; a file never does.

    `wait` is called where a file has nothing new. What is in no record is said as soon as it is known.
    """
    selection, path = selection_of(arguments), path_of(arguments)
    if is_stream(path):
        rounds: Iterator[Iterator[bytes]] = (iter((line,)) for line in stream_lines(path))
    else:
        rounds = _written(path, selection.since, wait)
        if selection.since is None:
            yield list(deque(chosen(next(rounds), selection, Missing()), FIRST_SHOWN))
    others = 0
    for lines in rounds:
        missing = Missing()
        for entry in chosen(lines, selection, missing):
            yield [entry]
        say_missing(Missing(lost=missing.lost))
        others += missing.others
    say_missing(Missing(others))


def pause() -> None:
    """Some time has passed; BrokenPipeError where nobody reads what is printed any more."""
    reader = select.poll()
    reader.register(sys.stdout.fileno(), 0)
    if reader.poll(_PAUSE_MILLISECONDS):
        raise BrokenPipeError


def _written(path: Path, since: Moment | None, wait: Callable[[], None]) -> Iterator[Iterator[bytes]]:
    """The lines of the log that are there, then, for ever, those that came since."""
    with closing(FollowedLog(path, wall_clock() if since is None else since)) as log:
        yield log.new_lines()
        if not log.found:
            print(f"netpol: there is no {path} yet", file=sys.stderr)
        while True:
            wait()
            yield log.new_lines()
