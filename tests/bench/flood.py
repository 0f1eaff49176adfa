"""What becomes of the live agent while strangers' packets are refused by the thousand, its audit log being written."""

from __future__ import annotations

from typing import Any

from bench.live import MOST_MEGABYTES, P50_MS, P99_MS, line, measured
from bench.manifests import Size

MOST_CORES = 1.0
MOST_TIMES = 2.0
"""An event that misses its goal in quiet times may take so many times as long under a flood."""
MOST_RECORDS_PER_SECOND = 1_000
LOSSLESS = "20,000 packets/s"


def report(size: Size) -> bool:
    """Print what each flood does, beside its goals; True where every one is met."""
    print(f"\nnetpol run under a flood, {size}: quiet > flooded, ms", flush=True)
    met = [_flood(name, figures) for name, figures in measured("bench.live_flood", size).items()]
    return all(met)


def _flood(name: str, figures: dict[str, Any]) -> bool:
    quiet, flooded, written = figures["quiet"], figures["flooded"], figures["written"]
    print(
        f" {name}: {figures['packets']:,} refused in {figures['seconds']:.0f} s, a log of {written['megabytes']:.2f} MB"
    )
    met = [_events(event, before, flooded["events"][event]) for event, before in quiet["events"].items()]
    met.append(line("processor time", flooded["cores"], MOST_CORES, "cores"))
    print(f"  {'  quiet':38} {quiet['cores']:8.2f} cores")
    met.append(line("peak memory", figures["peak_mb"], MOST_MEGABYTES, "MB"))
    if not figures["is_logged"]:
        return all(met)
    unaccounted = figures["packets"] - written["counted"] - written["lost"]
    met.append(line("records each second", written["records"] / figures["seconds"], MOST_RECORDS_PER_SECOND, ""))
    met.append(line("packets unaccounted for", abs(unaccounted), 0, ""))
    if name == LOSSLESS:
        met.append(line("packets only counted as lost", written["lost"], 0, ""))
    else:
        print(f"  {'packets only counted as lost':38} {written['lost']:8,}")
    return all(met)


def _events(name: str, quiet: dict[str, float], flooded: dict[str, float]) -> bool:
    if not quiet or not flooded:
        print(f"  {name:24} no such event changed this node's kernel")
        return False
    goals = {"p50": max(P50_MS, MOST_TIMES * quiet["p50"]), "p99": max(P99_MS, MOST_TIMES * quiet["p99"])}
    met = all(flooded[each] <= goal for each, goal in goals.items())
    shown = "   ".join(
        f"{each} {quiet[each]:5.1f} > {flooded[each]:5.1f} (x{flooded[each] / quiet[each]:3.1f}, goal {goal:4.0f})"
        for each, goal in goals.items()
    )
    print(f"  {name:24} {shown}{'' if met else '   MISSED'}")
    return met
