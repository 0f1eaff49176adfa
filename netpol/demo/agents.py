"""The real agent, run on every node of a lab."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import netpol
from netpol.errors import NetpolError
from netpol.lab.lab import Lab

CODE = Path(netpol.__file__).resolve().parent.parent


def run_agents(lab: Lab, source: Path, flags: Sequence[str] = ()) -> tuple[str, ...]:
    """What the agents of all nodes said, a line each, after each has programmed its node from `source`.

    NetpolError where one fails, with what it said of it.
    """
    command = [sys.executable, "-P", "-m", "netpol", "run", "--run-firewall", "--once", "--source", str(source), *flags]
    paths = [str(CODE), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    with ExitStack() as running:
        agents = {}
        for node in lab.nodes:
            with lab.namespace(f"node/{node}").entered():
                agents[node] = subprocess.Popen(
                    [*command, "--hostname-override", node],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            running.callback(_end, agents[node])
        said = {node: agent.communicate() for node, agent in agents.items()}
    failures = dict.fromkeys(
        line.removeprefix("netpol: ")
        for node, agent in agents.items()
        if agent.returncode != 0
        for line in (said[node][1].strip() or f"it ended with status {agent.returncode}").splitlines()
    )
    if failures:
        raise NetpolError("\n".join(f"the agent: {line}" for line in failures))
    return tuple(line for output, _ in said.values() for line in output.splitlines())


def _end(agent: subprocess.Popen[str]) -> None:
    if agent.poll() is None:
        agent.kill()
        agent.communicate()
