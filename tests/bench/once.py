"""What one `netpol run --once` costs, as a whole and by stage, in a network namespace of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.manifests import Size, write_cluster

MOST_MEGABYTES = 300


def report(size: Size, most_seconds: float) -> bool:
    """Print the cost of a first run, of a second one and of each stage; True where the first is within its bounds."""
    with tempfile.TemporaryDirectory() as directory:
        write_cluster(Path(directory), size)
        command = ["unshare", "--net", sys.executable, "-m", "bench.in_namespace", directory]
        measured = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    first, again = measured["first"], measured["again"]
    print(f"\nnetpol run --once, {size}")
    print(f"  first run              {first['seconds']:6.2f} s {first['megabytes']:5.0f} MB", end="")
    print(f"   (goal {most_seconds:.0f} s, {MOST_MEGABYTES} MB)")
    print(f"  again, nothing changed {again['seconds']:6.2f} s {again['megabytes']:5.0f} MB")
    for stage, seconds in measured["stages"].items():
        print(f"    {stage:20} {seconds:6.2f} s")
    return bool(first["seconds"] <= most_seconds and first["megabytes"] <= MOST_MEGABYTES)
