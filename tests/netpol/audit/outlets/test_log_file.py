"""The file is never too large, never torn, and the one that bears the name; nothing of it is lost by rotation."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from full_disk import most_bytes_of_files
from outlets import NOW, decoded, packets, records, running, ticking
from waiting import wait_until

from netpol.audit.outlets.log_file import RotatedFile
from netpol.audit.record import Record, encode
from netpol.audit.rotation import put_aside
from netpol.model.moments import SECOND
from netpol.settings import RecordFile

DAY = 24 * 60 * 60 * SECOND
ONE = len(encode(records(1)[0])) + 1
"""Bytes of the line of a record that tells of fewer than ten packets."""

LARGE = 8 << 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


def opened(
    path: Path, most_bytes: int = LARGE, backups: int = 0, days: int = 0, now: Callable[[], int] = lambda: NOW
) -> RotatedFile:
    return RotatedFile(RecordFile(path, most_bytes, backups, days), now)


def write(sink: RotatedFile, many: list[Record]) -> None:
    for record in many:
        sink.write(record)


def names(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.iterdir())


def read(path: Path) -> list[Record]:
    """All records there are, oldest file first."""
    files = [*(aside.path for aside in put_aside(path)), path]
    return [record for file in files for record in decoded(file.read_bytes())]


def refuse(*_: object) -> None:
    raise PermissionError(1, "Operation not permitted")


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_records_are_lines_of_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "log" / "netpol" / "audit.log"
    write(opened(path), records(3))

    assert decoded(path.read_bytes()) == records(3)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o750


def test_what_is_there_is_appended_to(path: Path) -> None:
    write(opened(path), records(2))
    write(opened(path), records(2))

    assert decoded(path.read_bytes()) == records(2) * 2


def test_a_file_is_put_aside_before_it_is_too_large(path: Path) -> None:
    write(opened(path, 3 * ONE, now=ticking()), records(9))

    assert [file.stat().st_size for file in path.parent.iterdir()] == [3 * ONE] * 3
    assert read(path) == records(9)


def test_a_file_put_aside_is_named_by_the_time_of_it(path: Path) -> None:
    sink = opened(path, ONE)
    write(sink, records(4))

    assert names(path) == [
        "audit-2026-01-02T03-04-05.678.log",
        "audit-2026-01-02T03-04-05.679.log",
        "audit-2026-01-02T03-04-05.680.log",
        "audit.log",
    ]
    assert read(path) == records(4)


def test_a_record_larger_than_the_bound_has_a_file_alone(path: Path) -> None:
    write(opened(path, ONE - 1, now=ticking()), records(3))

    assert [len(decoded(file.read_bytes())) for file in path.parent.iterdir()] == [1] * 3


def test_so_many_old_files_are_kept(path: Path) -> None:
    write(opened(path, ONE, backups=2, now=ticking()), records(9))

    assert read(path) == records(9)[-3:]


def test_old_files_are_removed_by_age_too_when_the_file_is_opened(path: Path) -> None:
    for age in ("2025-12-02T03-04-05.677", "2025-12-03T03-04-05.678", "2025-12-31T00-00-00.000"):
        path.with_name(f"audit-{age}.log").touch()
    for another in ("audit-2001.log", "other-2001-01-01T00-00-00.000.log", "audit-2001-01-01T00-00-00.000.txt"):
        path.with_name(another).touch()
    write(opened(path, days=30), records(1))

    assert names(path) == [
        "audit-2001-01-01T00-00-00.000.txt",
        "audit-2001.log",
        "audit-2025-12-03T03-04-05.678.log",
        "audit-2025-12-31T00-00-00.000.log",
        "audit.log",
        "other-2001-01-01T00-00-00.000.log",
    ]


def test_a_bound_of_zero_is_none(path: Path) -> None:
    path.with_name("audit-1999-12-31T00-00-00.000.log").touch()
    write(opened(path, ONE, now=ticking()), records(20))

    assert len(names(path)) == 21


def test_a_directory_named_like_an_old_file_is_left_and_is_none_of_those_kept(path: Path) -> None:
    directory, file = (path.with_name(f"audit-{year}-12-31T00-00-00.000.log") for year in (2000, 1999))
    directory.mkdir()
    file.touch()
    write(opened(path, backups=1), records(1))

    assert directory.is_dir()
    assert file.exists()


def test_an_old_file_that_cannot_be_removed_stops_nothing(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: Path, *, missing_ok: bool) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(file))

    path.with_name("audit-1999-12-31T00-00-00.000.log").touch()
    monkeypatch.setattr(Path, "unlink", refuse)
    write(opened(path, days=1), records(1))

    assert decoded(path.read_bytes()) == records(1)
    assert [record.getMessage() for record in caplog.records] == ["old files of the audit log cannot be removed"]


def test_a_file_that_others_moved_or_removed_is_made_anew(path: Path) -> None:
    sink = opened(path)
    first, second, third, fourth = records(4)
    sink.write(first)
    path.rename(path.with_name("moved"))
    sink.write(second)
    path.unlink()
    sink.write(third)
    path.with_name("moved").rename(path)
    sink.write(fourth)

    assert decoded(path.read_bytes()) == [first, fourth]


def test_a_file_that_others_emptied_is_written_from_its_beginning(path: Path) -> None:
    sink = opened(path, 2 * ONE)
    write(sink, records(2))
    os.truncate(path, 0)
    write(sink, records(2))

    assert names(path) == ["audit.log"]
    assert decoded(path.read_bytes()) == records(2)


def test_a_line_that_a_killed_agent_left_unended_is_ended(path: Path) -> None:
    path.write_bytes(b'{"ts":"2026-')
    write(opened(path), records(1))

    half, rest = path.read_bytes().split(b"\n", 1)
    assert half == b'{"ts":"2026-'
    assert decoded(rest) == records(1)


def test_a_full_disk_leaves_no_part_of_a_line_and_no_packet_uncounted(path: Path) -> None:
    path.write_bytes(b"x" * (LARGE - 1) + b"\n")
    with running(opened(path, 2 * LARGE)) as work:
        with most_bytes_of_files(LARGE + ONE + ONE // 2):
            put = work.put(records(5))
            wait_until(lambda: work.outlet._is_failing)
            assert path.stat().st_size == LARGE + ONE
        work.wait_for(5)

    assert packets(decoded(path.read_bytes()[LARGE:])) == put
    assert work.counted("lost") == 0


def test_a_line_that_cannot_be_taken_back_is_ended(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b"x" * (LARGE - 1) + b"\n")
    sink = opened(path, 2 * LARGE)
    monkeypatch.setattr(os, "ftruncate", refuse)
    with most_bytes_of_files(LARGE + 100), pytest.raises(OSError, match="File too large"):
        sink.write(records(1)[0])
    sink.write(records(1)[0])

    half, rest = path.read_bytes()[LARGE:].split(b"\n", 1)
    assert len(half) == 100
    assert decoded(rest) == records(1)


def test_a_device_without_room_refuses(tmp_path: Path) -> None:
    sink = RotatedFile(RecordFile(Path("/dev/full")), lambda: NOW)
    with pytest.raises(OSError, match="No space left"):
        sink.write(records(1)[0])
    assert sink._file is None


def test_what_is_no_file_is_only_written_to(path: Path) -> None:
    os.mkfifo(path)
    taken: list[bytes] = []
    reader = threading.Thread(target=lambda: taken.append(path.read_bytes()))
    reader.start()
    sink = opened(path, most_bytes=ONE)
    write(sink, records(20))
    sink.close()
    reader.join(5)

    assert decoded(taken[0]) == records(20)
    assert names(path) == ["audit.log"]


def test_a_place_that_is_not_to_be_had_refuses_until_it_is(tmp_path: Path) -> None:
    place = tmp_path / "log"
    place.touch()
    sink = opened(place / "audit.log")
    with pytest.raises(FileExistsError):
        sink.write(records(1)[0])

    place.unlink()
    sink.write(records(1)[0])
    assert decoded((place / "audit.log").read_bytes()) == records(1)


def test_rotation_that_fails_keeps_the_file_within_its_bound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = opened(path, ONE)
    first, second = records(2)
    sink.write(first)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        with pytest.raises(PermissionError):
            sink.write(second)
    assert path.stat().st_size == ONE

    sink.write(second)
    assert read(path) == [first, second]


def test_no_file_is_left_open(path: Path) -> None:
    before = descriptors()
    sink = opened(path, ONE, now=ticking())
    write(sink, records(20))
    sink.close()
    sink.close()

    assert descriptors() == before
