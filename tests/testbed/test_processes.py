"""What a bed starts ends when it is told to, and with whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from testbed.processes import Ended, Process
from waiting import wait_until

TESTS = Path(__file__).parents[1]
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"


def test_it_ends_when_asked_to(tmp_path: Path) -> None:
    with Process("sleep", ["sleep", "60"], tmp_path / "log") as process:
        process.must_run()
    assert process.status() == -signal.SIGTERM


def test_one_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    process = Process("deaf", [sys.executable, "-c", DEAF], tmp_path / "log")
    process.until("deaf", lambda: "deaf" in process.last_words())
    process.stop(patience=0.1)
    assert process.status() == -signal.SIGKILL


def test_one_that_ended_is_not_waited_for(tmp_path: Path) -> None:
    process = Process("false", ["sh", "-c", "echo no such luck; exit 3"], tmp_path / "log")
    with pytest.raises(Ended, match=r"false ended with 3: no such luck"):
        process.until("true", lambda: False, seconds=10)


def test_it_dies_with_its_starter(tmp_path: Path) -> None:
    code = "import pathlib, sys, time; from testbed.processes import Process\n"
    code += "print(Process('sleep', ['sleep', '60'], pathlib.Path(sys.argv[1])).pid, flush=True); time.sleep(60)"
    path = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-c", code, str(tmp_path / "log")]
    with subprocess.Popen(command, env=path, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        started = int(starter.stdout.readline())
        wait_until(lambda: runs(started), "it sleeps")
        starter.kill()
    wait_until(lambda: not runs(started), "it is gone")


def runs(pid: int) -> bool:
    """Whether the process is there, and is the sleep that it was made for; before that it is not bound to anybody."""
    try:
        return Path("/proc", str(pid), "cmdline").read_bytes().startswith(b"sleep")
    except OSError:
        return False
