"""`python -m netpol`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import netpol

ROOT = Path(__file__).parents[2]


def ended(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "netpol", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_module_is_the_command() -> None:
    assert ended("--version").stdout == f"netpol {netpol.__version__}\n"


def test_the_status_reaches_the_shell() -> None:
    wrong = ended("enforce")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "Traceback" not in wrong.stderr
