"""What the live agent takes from an event to the kernel, and to start, in a network namespace of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from bench.manifests import Size

P50_MS, P99_MS = 10.0, 50.0
MOST_START_SECONDS, MOST_MEGABYTES = 5.0, 150.0
MOST_AFTER_ROLL_SECONDS, MOST_ROLL_CPU_SECONDS = 1.0, 2.0
MOST_IDLE_PERCENT = 1.0


def report(size: Size) -> bool:
    """Print a line for each figure, beside its goal; True where every one is met."""
    print(f"\nnetpol run, {size}", flush=True)
    figures = measured("bench.live_agent", size)
    met = [line("cold start", figures["cold_s"], MOST_START_SECONDS, "s")]
    met.append(line("start with nothing changed", figures["again_s"], MOST_START_SECONDS, "s"))
    met.append(line("  tables it wrote", figures["again_writes"], 0, ""))
    met += [_events_line(name, each) for name, each in figures["events"].items()]
    roll = figures["roll"]
    met.append(line("1,000 pods roll: kernel right after", roll["right_after_s"], MOST_AFTER_ROLL_SECONDS, "s"))
    met.append(line("  processor time", roll["cpu_s"], MOST_ROLL_CPU_SECONDS, "s"))
    met.append(line("idle", figures["idle_percent"], MOST_IDLE_PERCENT, "% of a core"))
    met.append(line("peak memory", figures["peak_mb"], MOST_MEGABYTES, "MB"))
    met.append(line("steps from the right kernel at the end", figures["drift"], 0, ""))
    return all(met)


def report_stages(size: Size) -> None:
    """Print where the time of each event goes inside the agent."""
    print(f"\ninside the agent, median ms, {size}", flush=True)
    stages = measured("bench.live_stages", size)
    print(" " * 22 + "".join(f"{stage:>12}" for stage in next(iter(stages.values()))))
    for name, spent in stages.items():
        print(f"{name:22}" + "".join(f"{milliseconds:12.1f}" for milliseconds in spent.values()))


def measured(module: str, size: Size) -> dict[str, Any]:
    """What the module prints when it is run for this size in a network namespace of its own."""
    words = [str(number) for number in (size.local, size.pods, size.policies)]
    script = 'ip link set lo up && exec "$@"'
    command = ["unshare", "--net", "--kill-child", "sh", "-c", script, "sh", sys.executable, "-m", module, *words]
    figures: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return figures


def line(what: str, figure: float, goal: float, unit: str) -> bool:
    """Print the figure beside its goal; True where it is met."""
    met = figure <= goal
    print(f"  {what:38} {figure:8.2f} {unit:12} goal {goal:g}{'' if met else '   MISSED'}")
    return met


def _events_line(name: str, times: dict[str, float]) -> bool:
    if not times:
        print(f"  {name:38} no such event changed this node's kernel")
        return False
    met = times["p50"] <= P50_MS and times["p99"] <= P99_MS
    goal = f"goal {P50_MS:g} and {P99_MS:g}{'' if met else '   MISSED'}"
    print(f"  {name:38} p50 {times['p50']:6.1f}   p99 {times['p99']:6.1f} ms   {goal}")
    return met
