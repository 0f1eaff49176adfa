"""What the service proxy takes to its first sync and to each change, in a guest whose kernel has IPVS."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from bench.live import line
from bench.services_guest import COMPARED_SERVICES
from vm.guest import Guest

SERVICES, ENDPOINTS = 1_000, 10
FIRST_SYNC_SECONDS, P99_MS = 10.0, 50.0
GUEST_SECONDS, GUEST_MB = 1_800, 2_000


def report(services: int = SERVICES, endpoints: int = ENDPOINTS) -> bool:
    """Print a line for each figure, beside its goal and kube-proxy's; True where every one is met."""
    print(f"\nservice proxy, {services:,} services x {endpoints} endpoints", flush=True)
    figures = _measured(services, endpoints)
    ours = figures["netpol"]
    met = [
        line("first sync, from the process's start", ours["first_sync_s"], FIRST_SYNC_SECONDS, "s"),
        line("endpoint change to kernel, p99", ours["p99_ms"], P99_MS, "ms"),
    ]
    print(f"  {'endpoint change to kernel, p50':38} {ours['p50_ms']:8.2f} ms")
    print(f"  of {COMPARED_SERVICES} services: first sync, and p50 of a change")
    for name in ("netpol", "kube-proxy"):
        few = figures[f"{name}_few"]
        print(f"    {name:36} {few['first_sync_s']:8.2f} s {few['p50_ms']:12.2f} ms")
    return all(met)


def _measured(services: int, endpoints: int) -> dict[str, dict[str, float]]:
    command = [sys.executable, "-m", "bench.services_guest", str(services), str(endpoints)]
    tests = Path(__file__).parents[1]
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        Guest(Path(directory), command, environment={"PYTHONPATH": str(tests)}, memory_mb=GUEST_MB) as guest,
    ):
        status = guest.wait(GUEST_SECONDS)
        said = guest.console
    if status:
        sys.exit(f"the guest ended with status {status}:\n{said[-3000:]}")
    figures: dict[str, dict[str, float]] = json.loads(said.strip().splitlines()[-1])
    return figures
