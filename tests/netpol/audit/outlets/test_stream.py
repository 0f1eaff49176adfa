"""Lines to streams as they are in the world: pipes without a reader, full disks, files that do not block."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from full_disk import most_bytes_of_files
from outlets import decoded, packets, records, running, seconds_of
from waiting import wait_until

from netpol.audit.outlets.stream import Stream
from netpol.audit.record import decode
from netpol.telemetry.logs import line

LARGE = 8 << 20
PIPE_BYTES = 65536


class Pipe:
    """A pipe whose reader reads when it is told to."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self.read = b""
        self._reader = threading.Thread(target=self._take, daemon=True)

    def begin(self) -> None:
        """From here on everything is read as it comes."""
        self._reader.start()

    def leave(self) -> None:
        """Nobody will read any more."""
        os.close(self.reading)

    def end(self) -> bytes:
        """All that was written."""
        os.close(self.writing)
        self._reader.join(5)
        return self.read

    def _take(self) -> None:
        while chunk := os.read(self.reading, 1 << 16):
            self.read += chunk


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    for end in (pipe.reading, pipe.writing):
        with suppress(OSError):
            os.close(end)


def test_records_are_lines(pipe: Pipe) -> None:
    pipe.begin()
    with running(Stream(pipe.writing)) as work:
        work.put(records(1000))

    assert decoded(pipe.end()) == records(1000)


@pytest.mark.parametrize("blocks", [True, False])
def test_a_reader_that_stops_is_waited_for_without_a_broken_line(pipe: Pipe, blocks: bool) -> None:
    os.set_blocking(pipe.writing, blocks)
    with running(Stream(pipe.writing)) as work:
        put = work.put(records(1000))
        wait_until(lambda: work.counted("written") > 50)
        pipe.begin()
        work.wait_for(1000)

    assert packets(decoded(pipe.end())) == put
    assert len(pipe.read) > PIPE_BYTES
    assert work.counted("lost") == 0


def test_a_reader_that_never_reads_does_not_hold_up_a_stop(pipe: Pipe) -> None:
    with running(Stream(pipe.writing)) as work:
        work.put(records(1000))
        wait_until(lambda: work.counted("written") > 50)
        assert seconds_of(lambda: work.outlet.stop(0.1)) < 2
        pipe.begin()
        work.outlet._thread.join(5)
    pipe.end()

    assert work.counted("written") + work.counted("lost") == 1000
    assert work.counted("lost") > 500


def test_a_reader_that_is_gone_is_told_once_and_all_is_counted(pipe: Pipe, caplog: pytest.LogCaptureFixture) -> None:
    pipe.leave()
    with running(Stream(pipe.writing)) as work:
        put = work.put(records(20))
        wait_until(lambda: caplog.records)

    assert [line(record)[31:] for record in caplog.records] == [
        'the audit log cannot be written outlet=test error="BrokenPipeError: [Errno 32] Broken pipe"',
        f"the end of the audit log is lost outlet=test records=20 packets={put}",
    ]
    assert (work.counted("written"), work.counted("lost"), work.lost_packets()) == (0, 20, put)


def test_a_full_device_refuses_and_nothing_is_half_done() -> None:
    stream = Stream(os.open("/dev/full", os.O_WRONLY))
    for record in records(2):
        with pytest.raises(OSError, match="No space left"):
            stream.write(record)
    assert not stream._is_begun
    os.close(stream._descriptor)


def test_a_line_that_did_not_fit_is_ended_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "output"
    with path.open("wb", buffering=0) as file, running(Stream(file.fileno())) as work:
        file.truncate(LARGE)
        file.seek(0, os.SEEK_END)
        with most_bytes_of_files(LARGE + 100):
            put = work.put(records(3))
            wait_until(lambda: work.outlet._is_failing)
            assert path.stat().st_size == LARGE + 100
        work.wait_for(3)
    half, *whole = path.read_bytes()[LARGE:].splitlines()

    assert len(half) == 100
    assert packets(map(decode, whole)) == put


def test_closing_leaves_the_stream_open(pipe: Pipe) -> None:
    Stream(pipe.writing).close()

    assert os.write(pipe.writing, b"x") == 1
