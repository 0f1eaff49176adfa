"""What the service proxy takes to its first sync and to each change, in a guest whose kernel has IPVS."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.live import line
from bench.services_guest import COMPARED_SERVICES
from vm.guest import Guest

SERVICES, ENDPOINTS = 1_000, 10
FIRST_SYNC_SECONDS, P99_MS = 10.0, 50.0
GUEST_SECONDS, GUEST_MB = 1_800, 2_000


def report(services: int = SERVICES, endpoints: int = ENDPOINTS) -> bool:
    """Print a line for each figure, beside its goal and kube-proxy's; True where every one is met.

    A change is held to its goal from the API server's answer on: what that takes to write is its own.
    """
    print(f"\nservice proxy, {services:,} services x {endpoints} endpoints, in a guest of one processor", flush=True)
    figures = _measured(services, endpoints)
    ours = figures["netpol"]
    met = [
        line("first sync, from the process's start", ours["first_sync_s"], FIRST_SYNC_SECONDS, "s"),
        line("change, API's answer to kernel, p99", ours["kernel_ms"][1], P99_MS, "ms"),
    ]
    print(f"  {'  its p50':38} {ours['kernel_ms'][0]:8.2f} ms")
    for name, key in (("the API server's write, p50 and p99", "write_ms"), ("the whole, p50 and p99", "whole_ms")):
        print(f"  {name:38} {ours[key][0]:8.2f} ms {ours[key][1]:12.2f} ms")
    print(f"  of {COMPARED_SERVICES} services: first sync, and p50 of a change from the answer on")
    for name in ("netpol", "kube-proxy"):
        few = figures[f"{name}_few"]
        print(f"    {name:36} {few['first_sync_s']:8.2f} s {few['kernel_ms'][0]:12.2f} ms")
    paces = [each for found in figures.values() for each in found["pace_ms"]]
    print(f"  {'a fixed piece of work meanwhile':38} {min(paces):8.2f} to {max(paces):.2f} ms")
    return all(met)


def _measured(services: int, endpoints: int) -> dict[str, dict[str, Any]]:
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
    figures: dict[str, dict[str, Any]] = json.loads(said.strip().splitlines()[-1])
    return figures
