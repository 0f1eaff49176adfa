"""`python -m vm COMMAND...`: runs a command in a guest, and hands on its output and its exit status."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from vm.guest import LOOK_SECONDS, MEMORY_MB, Guest
from vm.host_cpu import NoGuest


def main() -> int:
    """The status that the command ended with."""
    given = _arguments()
    with (
        tempfile.TemporaryDirectory(prefix="vm-") as directory,
        Guest(Path(directory), given.command, memory_mb=given.memory) as guest,
    ):
        end = time.monotonic() + given.timeout
        with (guest.directory / "console").open("rb") as console:
            while guest.is_running() and time.monotonic() < end:
                _hand_on(console.read())
                time.sleep(LOOK_SECONDS)
            status = guest.wait(0)
            _hand_on(console.read())
        if given.out is not None:
            shutil.copytree(guest.out, given.out, dirs_exist_ok=True)
        for name, wanted in (("times", given.times), ("dmesg", given.dmesg)):
            if wanted and (guest.directory / name).exists():
                sys.stderr.write((guest.directory / name).read_text(errors="replace"))
    return status


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m vm", description=__doc__)
    parser.add_argument("--memory", type=int, default=MEMORY_MB, metavar="MB")
    parser.add_argument("--timeout", type=float, default=300, metavar="SECONDS", help="then the status is 124")
    parser.add_argument("--out", type=Path, metavar="DIRECTORY", help="where to put what it leaves in $VM_OUT")
    parser.add_argument("--times", action="store_true", help="tell how long boot and command took")
    parser.add_argument("--dmesg", action="store_true", help="show what the kernel said")
    parser.add_argument("command", nargs="+", help="after --, if it has options")
    return parser.parse_args()


def _hand_on(written: bytes) -> None:
    sys.stdout.buffer.write(written)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NoGuest as lack:
        sys.exit(str(lack))
