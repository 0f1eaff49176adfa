"""The names that files of the audit log are put aside by, and the files that bear them.

The names are lumberjack's, which kube-apiserver's audit log has too: `audit-2026-01-02T03-04-05.678.log`
beside `audit.log`, the time being UTC and that of the rotation.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from netpol.model.moments import Moment, parse_rfc3339, rfc3339

MILLISECOND: Moment = 1000
"""A name states no less: two files of one log have names that are so far apart."""

_LESS_THAN_MILLISECONDS = len("000Z")


class PutAside(NamedTuple):
    """A file that was the log until that moment, which its name states to the millisecond; in order of age."""

    until: Moment
    path: Path

    def reaches(self, since: Moment) -> bool:
        """True where a record in it may be that recent."""
        return self.until + MILLISECOND > since


def aside(path: Path, until: Moment) -> Path:
    """Where the log at `path` goes when it is put aside at that moment.

    >>> aside(Path("log/audit.log"), 1_700_000_000_005_999)
    PosixPath('log/audit-2023-11-14T22-13-20.005.log')
    """
    time = rfc3339(until)[:-_LESS_THAN_MILLISECONDS].replace(":", "-")
    return path.with_name(f"{path.stem}-{time}{path.suffix}")


def put_aside(path: Path) -> list[PutAside]:
    """The files that the log at `path` was before, which rotation left beside it, oldest first."""
    files = path.parent.iterdir() if path.parent.is_dir() else ()
    dated = ((_until(path, file), file) for file in files)
    return sorted(PutAside(until, file) for until, file in dated if until is not None and file.is_file())


def _until(path: Path, file: Path) -> Moment | None:
    """The moment that the file was put aside at; None where rotation of `path` gives no file that name."""
    day, _, time = file.name.removeprefix(f"{path.stem}-").removesuffix(path.suffix).partition("T")
    try:
        until = parse_rfc3339(f"{day}T{time.replace('-', ':')}Z")
    except ValueError:
        return None
    return until if aside(path, until).name == file.name else None
