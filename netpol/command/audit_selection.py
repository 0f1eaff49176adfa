"""The flags that say which records of which log are meant, and the records."""

from __future__ import annotations

import argparse
import errno
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import closing, nullcontext, suppress
from pathlib import Path

from netpol.audit.clock import wall_clock
from netpol.audit.reader.following import FollowedLog
from netpol.audit.reader.lines import MOST_LINE_BYTES, Lines
from netpol.audit.reader.reading import Entry, Missing, chosen
from netpol.audit.reader.selection import PodName, Selection
from netpol.audit.record import Action, Cause, Record
from netpol.command.arguments import Once, attribute
from netpol.command.durations import duration
from netpol.errors import InputError, UsageError
from netpol.model.moments import SECOND, Moment, parse_rfc3339
from netpol.model.networks import parse_address
from netpol.model.policies import Direction

DEFAULT_PATH = Path("/var/log/netpol/audit.log")
STANDARD_INPUT = Path("-")

_DAY_SECONDS = 86400
_DAYS = re.compile(r"(?P<days>[0-9]+)d(?P<rest>.*)", re.ASCII)


def add_selection_arguments(parser: argparse.ArgumentParser, prefix: str = "") -> None:
    """The parser knows the flags of `path_of` and `selection_of`; one that is not given leaves no trace.

    The names that it keeps their values by begin with `prefix`: a subcommand has one of its own, for
    argparse would put what stands after the subcommand in the place of what stands before it.
    """
    group = parser.add_argument_group("which records", argument_default=argparse.SUPPRESS)
    group.add_argument(
        "--audit-log-path",
        dest=f"{prefix}audit_log_path",
        type=_path,
        action=Once,
        metavar="PATH",
        help=f"the log, - being standard input (default {DEFAULT_PATH}); the files that it was before are read too",
    )
    group.add_argument(
        "--since",
        dest=f"{prefix}since",
        type=_since,
        action=Once,
        metavar="TIME",
        help="only what is not older: 10m, 2h, 1d, or 2026-01-02T03:04:05Z",
    )
    for flag, metavar, convert, meaning in (
        ("--namespace", "NAMESPACE", str, "of which an end is a pod in this namespace"),
        ("--pod", "POD", _pod_name, "of which an end is this pod: NAME, or NAMESPACE/NAME"),
        ("--ip", "IP", _address, "of which an end has this address"),
        ("--peer", "PEER", _peer, "whose other end is this pod or this address"),
    ):
        group.add_argument(
            flag,
            dest=f"{prefix}{attribute(flag)}",
            type=convert,
            action="append",
            metavar=metavar,
            help=f"only records {meaning}; may be repeated",
        )
    for flag, values, meaning in (
        ("--action", Action, "what became of the packets"),
        ("--reason", Cause, "why"),
        ("--direction", Direction, "whether packets were to the subject or from it"),
    ):
        words = [value.value for value in values]
        group.add_argument(
            flag,
            dest=f"{prefix}{attribute(flag)}",
            choices=words,
            action="append",
            metavar=flag[2:].upper(),
            help=f"{meaning}: {', '.join(words)}; may be repeated",
        )


def joined(arguments: argparse.Namespace, prefix: str) -> argparse.Namespace:
    """The arguments with a subcommand's, whose prefix this is, added to those that stand before it.

    UsageError where a flag that may be given only once stands before it and after it.
    """
    given = vars(arguments)
    after = {name.removeprefix(prefix): value for name, value in given.items() if name.startswith(prefix)}
    for name in after.keys() & given.keys():
        if not isinstance(after[name], list):
            raise UsageError(f"--{name.replace('_', '-')} may be given only once")
        after[name] = [*given[name], *after[name]]
    return argparse.Namespace(**given | after)


def selection_of(arguments: argparse.Namespace) -> Selection:
    """What the flags ask of a record."""
    given = vars(arguments)
    return Selection(
        given.get("since"),
        frozenset(given.get("namespace", ())),
        frozenset(given.get("pod", ())),
        frozenset(given.get("ip", ())),
        frozenset(given.get("peer", ())),
        frozenset(map(Action, given.get("action", ()))),
        frozenset(map(Cause, given.get("reason", ()))),
        frozenset(given.get("direction", ())),
    )


def path_of(arguments: argparse.Namespace) -> Path:
    """Where the log is; STANDARD_INPUT is no file. InputError where there can be none."""
    path: Path = vars(arguments).get("audit_log_path", DEFAULT_PATH)
    if problem := _unreadable(path):
        raise InputError([f"{path} is no audit log but {problem}"])
    return path


def selected_records(arguments: argparse.Namespace) -> Iterator[Record]:
    """The records that the flags choose, oldest first; once they are read, what is missing is on standard error."""
    return (entry.record for entry in selected_entries(arguments))


def selected_entries(arguments: argparse.Namespace) -> Iterator[Entry]:
    """The records as `selected_records` has them, each with the text it was read from."""
    selection, missing = selection_of(arguments), Missing()
    yield from chosen(_lines(path_of(arguments), selection.since or 0), selection, missing)
    say_missing(missing)


def say_missing(missing: Missing) -> None:
    """What the records leave out is on standard error."""
    if missing.others:
        print(f"netpol: lines that hold no record: {missing.others}", file=sys.stderr)
    if missing.lost:
        print(f"netpol: packets of that time that are in no record: {missing.lost}", file=sys.stderr)


def is_stream(path: Path) -> bool:
    """True where what is read can be read once only, and no other file comes before it or after it."""
    return path == STANDARD_INPUT or path.is_fifo()


def stream_lines(path: Path) -> Iterator[bytes]:
    """The stream's lines, each as soon as it is there."""
    lines = Lines()
    with nullcontext(sys.stdin.buffer) if path == STANDARD_INPUT else path.open("rb") as stream:
        while piece := stream.readline(MOST_LINE_BYTES):
            yield from lines.ended_by(piece)
    yield lines.begun()


def _lines(path: Path, since: Moment) -> Iterator[bytes]:
    if is_stream(path):
        yield from stream_lines(path)
        return
    with closing(FollowedLog(path, since)) as log:
        yield from log.new_lines()
        if not log.found:
            raise _absent(path)
        yield log.begun_line()


def _unreadable(path: Path) -> str:
    """What the path leads to where that holds no lines, and never will; else nothing."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return "a loop of symbolic links" if error.errno == errno.ELOOP else ""
    if stat.S_ISDIR(mode):
        return "a directory"
    return "a socket" if stat.S_ISSOCK(mode) else ""


def _absent(path: Path) -> InputError:
    name = "name it with --audit-log-path, or read what an agent prints"
    command = "kubectl -n kube-system logs POD | netpol audit --audit-log-path -"
    return InputError([f"there is no audit log {path}: {name}: {command}"])


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("an empty path names no log")
    return Path(text)


def _since(text: str) -> Moment:
    """The moment that a length of time ago, or a time, names, and 1970 for those before it.

    ArgumentTypeError where the text is neither.
    """
    with suppress(ValueError):
        return max(0, parse_rfc3339(text))
    days = _DAYS.fullmatch(text)
    try:
        # A float's digits may be as many as one likes: beyond its range it is infinite, and no error.
        seconds = float(days["days"]) * _DAY_SECONDS + duration(days["rest"] or "0") if days else duration(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a length of time such as 10m or 1d nor a time such as 2026-01-02T03:04:05Z"
        ) from None
    now = wall_clock()
    return now - int(min(seconds * SECOND, now))


def _pod_name(text: str) -> PodName:
    try:
        return PodName.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _address(text: str) -> str:
    try:
        return str(parse_address(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _peer(text: str) -> PodName | str:
    with suppress(argparse.ArgumentTypeError):
        return _address(text)
    return _pod_name(text)
