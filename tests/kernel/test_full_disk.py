"""The audit log's file on a real file system that is full, and has room again."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from outlets import decoded, packets, records, running, ticking
from private_network import missing
from waiting import wait_until

from netpol.audit.outlets.log_file import RotatedFile
from netpol.audit.rotation import put_aside
from netpol.settings import RecordFile

pytestmark = pytest.mark.kernel

DISK_BYTES = 256 << 10
_libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for a few hundred records."""
    if _libc.mount(b"tmpfs", os.fsencode(tmp_path), b"tmpfs", 0, b"size=%d" % DISK_BYTES) != 0:
        missing(f"cannot mount a tmpfs: {os.strerror(ctypes.get_errno())}")
    yield tmp_path
    assert _libc.umount2(os.fsencode(tmp_path), 0) == 0


def test_all_is_written_once_there_is_room(disk: Path) -> None:
    (disk / "ballast").write_bytes(b"x" * (DISK_BYTES // 2))
    path = disk / "audit.log"
    with running(RotatedFile(RecordFile(path, most_backups=0, most_days=0), ticking())) as work:
        put = work.put(records(300))
        wait_until(lambda: work.outlet._is_failing)
        assert decoded(path.read_bytes()) == records(int(work.counted("written")))
        assert work.counted("written") < 300

        (disk / "ballast").unlink()
        work.wait_for(300)

    assert packets(decoded(path.read_bytes())) == put
    assert work.counted("lost") == 0


def test_rotation_makes_room_by_itself(disk: Path) -> None:
    path = disk / "audit.log"
    with running(RotatedFile(RecordFile(path, DISK_BYTES // 4, most_backups=1, most_days=0), ticking())) as work:
        work.put(records(2000))
        work.wait_for(2000)

    kept = [*decoded(put_aside(path)[0].path.read_bytes()), *decoded(path.read_bytes())]
    assert kept == records(2000)[-len(kept) :]
    assert (work.counted("written"), work.counted("lost")) == (2000, 0)


def test_a_stop_with_a_full_disk_is_swift(disk: Path) -> None:
    (disk / "ballast").write_bytes(b"x" * DISK_BYTES)
    with running(RotatedFile(RecordFile(disk / "audit.log"), ticking())) as work:
        work.put(records(10))
        wait_until(lambda: work.outlet._is_failing)
        stopping = threading.Thread(target=work.outlet.stop, args=(60,))
        stopping.start()
        stopping.join(10)

        assert not stopping.is_alive()
    assert (work.counted("written"), work.counted("lost")) == (0, 10)
