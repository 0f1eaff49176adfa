"""A file that was put aside is found again by its name, and no other file is taken for one."""

from __future__ import annotations

import os
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.audit.rotation import MILLISECOND, PutAside, aside, put_aside
from netpol.model.moments import Moment, parse_rfc3339

LAST = parse_rfc3339("9999-12-31T23:59:59.999999Z")
NAMES = st.text("aT-.0( é", min_size=1, max_size=9).filter(lambda name: name.strip("."))


def test_a_file_put_aside_is_named_by_the_time_in_utc_as_lumberjack_does() -> None:
    moment = parse_rfc3339("2026-01-02T04:04:05.678999+01:00")
    assert aside(Path("/log/audit.log"), moment) == Path("/log/audit-2026-01-02T03-04-05.678.log")
    assert aside(Path("audit"), moment) == Path("audit-2026-01-02T03-04-05.678")


@given(NAMES, st.sets(st.integers(0, LAST), max_size=4))
def test_the_names_that_are_given_are_those_that_are_read(
    tmp_path_factory: pytest.TempPathFactory, name: str, moments: AbstractSet[Moment]
) -> None:
    path = tmp_path_factory.mktemp("log") / name
    for file in (path, *(aside(path, moment) for moment in moments)):
        file.touch()
    until = sorted({moment - moment % MILLISECOND for moment in moments})
    assert put_aside(path) == [PutAside(moment, aside(path, moment)) for moment in until]


def test_files_are_found_oldest_first(tmp_path: Path) -> None:
    times = ("2026-01-02T03-04-05.678", "2025-12-31T23-59-59.999", "2026-01-02T03-04-05.679")
    for time in times:
        (tmp_path / f"audit-{time}.log").touch()
    found = put_aside(tmp_path / "audit.log")
    assert [file.path.name for file in found] == [f"audit-{time}.log" for time in (times[1], times[0], times[2])]
    assert found[1].until == parse_rfc3339("2026-01-02T03:04:05.678Z")


@pytest.mark.parametrize(
    "name",
    [
        "audit.log",
        "audit.log.1",
        "audit-.log",
        "audit-2026.log",
        "audit-2026-01-02.log",
        "audit-2026-01-02T03-04-05.log",
        "audit-2026-01-02T03-04-05.6.log",
        "audit-2026-01-02T03-04-05.678901.log",
        "audit-2026-01-02T03:04:05.678.log",
        "audit-2026-02-30T03-04-05.678.log",
        "audit-20260102T030405.678.log",
        "audit-2026-01-02T03-04-05.678.log.gz",
        "audit-2026-01-02T03-04-05.678",
        "2026-01-02T03-04-05.678.log",
        "2026-01-02T03-04-05.678",
        "other-2026-01-02T03-04-05.678.log",
        "audit-audit-2026-01-02T03-04-05.678.log",
    ],
)
def test_other_files_are_not_the_logs(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert put_aside(tmp_path / "audit.log") == []


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path)])
def test_only_what_is_a_file_is_the_logs(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "audit-2026-01-02T03-04-05.678.log")
    assert put_aside(tmp_path / "audit.log") == []


def test_there_are_none_in_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert put_aside(tmp_path / "missing" / "audit.log") == []


def test_a_file_reaches_to_the_end_of_the_millisecond_in_its_name() -> None:
    file = PutAside(1_700_000_000_005_000, Path("audit"))
    assert file.reaches(1_700_000_000_005_999)
    assert not file.reaches(1_700_000_000_006_000)
