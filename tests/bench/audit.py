"""What the audit log costs while packets are refused by the thousand, and whether all are counted."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

SUSTAINED = "20,000 packets/s"
"""None of these may be lost."""
MOST_CORES = 1.0


def report() -> bool:
    """Print a line for each flood; True where every packet is accounted for, and one core is enough."""
    print("\nthe audit log under a flood, and another thread's piece of work beside it", flush=True)
    command = ["unshare", "--net", "--kill-child", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    measured = subprocess.run([*command, sys.executable, "-m", "bench.audit_flood"], check=True, stdout=subprocess.PIPE)
    met = [_line(name, figures) for name, figures in json.loads(measured.stdout).items()]
    return all(met)


def _line(name: str, figures: dict[str, Any]) -> bool:
    lost = sum(figures["lost"].values())
    met = figures["unaccounted"] == 0 and figures["cores"] <= MOST_CORES and not (lost and name == SUSTAINED)
    print(
        f"  {name:18} {figures['packets']:9,} refused {lost:9,} of them lost {figures['unaccounted']:4,} unaccounted",
        end="",
    )
    print(f" {figures['folds']:6,} folds {figures['cores']:5.2f} cores", end="")
    beside = figures["neighbour"]
    print(f"   beside it p50 {beside['p50_ms']:5.1f} ms p99 {beside['p99_ms']:5.1f} ms{'' if met else '   MISSED'}")
    return met
