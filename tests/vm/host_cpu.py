"""The machine's processor, as User Mode Linux meets it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

XSTATE = Path(__file__).parent / "xstate.c"
LOOK_SECONDS = 0.1


class NoGuest(Exception):
    """No guest can run on this machine; says what it lacks."""


def idlest() -> int:
    """The number of the least busy CPU that this process may run on."""
    before = _busy()
    time.sleep(LOOK_SECONDS)
    after = _busy()
    return min(os.sched_getaffinity(0), key=lambda cpu: after.get(cpu, 0) - before.get(cpu, 0))


def preloaded(directory: Path) -> list[str]:
    """The environment, as words of `env`, with which a guest starts on this processor; `xstate.c` says why.

    NoGuest where there is no compiler for what is needed.
    """
    if "amx_tile" not in Path("/proc/cpuinfo").read_text():
        return []
    compiler = shutil.which("gcc")
    if compiler is None:
        raise NoGuest("no gcc on this machine, whose processor has AMX (Debian: gcc, libc6-dev)")
    library = directory / "xstate.so"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, XSTATE], check=True)
    return [f"LD_PRELOAD={library}"]


def _busy() -> dict[int, int]:
    """For how many ticks each CPU has been busy."""
    words = (line.split() for line in Path("/proc/stat").read_text().splitlines())
    return {
        int(name.removeprefix("cpu")): sum(map(int, ticks[:3]))
        for name, *ticks in words
        if name.startswith("cpu") and name != "cpu"
    }
