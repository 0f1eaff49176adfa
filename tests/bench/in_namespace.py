"""The measuring half of `once`, run in a namespace of its own: prints one JSON object."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.manifests import NODE

from netpol.compiler.compile import compile_ruleset
from netpol.control.cutting import denied_flows
from netpol.dataplane.apply import Kernel, apply
from netpol.dataplane.conntrack import NetlinkFlows
from netpol.dataplane.ipset import NetlinkSets
from netpol.dataplane.iptables import IptablesTables
from netpol.dataplane.plan import plan
from netpol.dataplane.steps import Step, WriteTable
from netpol.settings import NodeOptions, PolicyOptions, Variant
from netpol.source.manifests import load

NETPOL = (sys.executable, "-m", "netpol")


def run_agent(directory: str) -> dict[str, float]:
    """The seconds and the peak megabytes of one run of the agent, its children included."""
    command = [*NETPOL, "run", "--once", "--hostname-override", NODE, "--source", directory]
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"netpol run ended with status {process.returncode}")
    return {"seconds": time.monotonic() - start, "megabytes": usage.ru_maxrss / 1024}


def stages(directory: str) -> dict[str, float]:
    """The seconds of each stage of a first run."""
    seconds: dict[str, float] = {}

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        seconds[name] = time.monotonic() - start

    gc.disable()
    kernel = Kernel(NetlinkSets(), IptablesTables(Variant.NFT), NetlinkFlows())
    options = NodeOptions(NODE)
    with stage("read manifests"):
        snapshot = load(Path(directory), PolicyOptions()).snapshot
    with stage("compile"):
        ruleset = compile_ruleset(snapshot, options)
    with stage("read the kernel"):
        held = kernel.read(options.families)
    with stage("plan"):
        steps = plan(ruleset, held)

    def of_tables(step: Step) -> bool:
        return isinstance(step, WriteTable)

    with stage("write sets"):
        apply([step for step in steps if not of_tables(step)], kernel)
    with stage("write tables"):
        apply([step for step in steps if of_tables(step)], kernel)
    with stage("read connections"):
        flows = [flow for family in options.families for flow in kernel.flows.read(family)]
        denied_flows(snapshot, NODE, (), flows)
    return seconds


if __name__ == "__main__":
    directory = sys.argv[1]
    first, again = run_agent(directory), run_agent(directory)
    subprocess.run([*NETPOL, "cleanup"], check=True, stdout=subprocess.DEVNULL)
    print(json.dumps({"first": first, "again": again, "stages": stages(directory)}))
