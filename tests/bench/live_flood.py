"""The measuring half of `flood`, run in a namespace of its own: prints one JSON object."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from api_child import ApiChild
from bench.live_agent import Agent, latencies
from bench.live_events import Events
from bench.live_mirror import Mirror
from bench.live_world import BARE, manifests, write_list
from bench.manifests import NODE, Size
from bench.strangers import Likeness, Strangers

from netpol.audit.record import decode
from netpol.compiler.names import pod_chain
from netpol.lab.namespace import Namespace
from netpol.model.networks import Family
from netpol.model.policies import Direction
from netpol.model.treatment import AUDIT_ANNOTATION, AuditLevel

Manifest = dict[str, Any]

PODS = "10.0.0.0/24"
EVENTS = ("peer pod added", "peer pod relabelled", "policy changed", "local pod added")
SETTLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Flood:
    """Who sends what; where `rate` is 0, as fast as they can."""

    senders: int
    rate: int
    likeness: Likeness = Likeness.ALIKE
    is_logged: bool = True


FLOODS = {
    "20,000 packets/s": Flood(1, 20_000),
    "20,000 packets/s, a scan": Flood(1, 20_000, Likeness.UNLIKE),
    "as fast as can be, not logged": Flood(2, 0, is_logged=False),
    "as fast as can be": Flood(2, 0),
}


@dataclass(frozen=True, slots=True)
class Written:
    """What the log's file holds."""

    records: int
    counted: int
    lost: int
    megabytes: float

    @classmethod
    def of(cls, path: Path) -> Written:
        """What that file holds, and those that were put aside."""
        files = [each.read_bytes() for each in path.parent.glob(f"{path.stem}*")]
        records = [decode(line) for file in files for line in file.splitlines(keepends=True)]
        counted, lost = (sum(getattr(each, name) for each in records) for name in ("count", "lost"))
        return cls(len(records), counted, lost, sum(map(len, files)) / 1e6)


def measure(size: Size) -> dict[str, Any]:
    """The figures of each flood, of an agent that was started for it."""
    with Namespace("the node") as node, node.entered():
        strangers = Strangers(node, PODS)
        return {name: _measured(flood, size, strangers) for name, flood in FLOODS.items()}


def _measured(flood: Flood, size: Size, strangers: Strangers) -> dict[str, Any]:
    objects = manifests(size)
    mirror = Mirror(NODE)
    mirror.apply(*(("put", manifest) for manifest in objects))
    victim = _victim(objects, mirror)
    if not flood.is_logged:
        _unlogged(victim["metadata"]["namespace"], objects, mirror)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_list(directory / "cluster.json", objects)
        server = stack.enter_context(ApiChild(directory / "cluster.json"))
        path = directory / "log" / "audit.log"
        agent = Agent(server.url, f"--audit-log-path={path}")
        stack.callback(agent.kill)
        agent.wait_until_ready()
        kinds = Events(objects).kinds()
        streams = {name: kinds[name]() for name in EVENTS}

        def phase() -> dict[str, Any]:
            cpu, began = agent.cpu_seconds(), time.monotonic()
            events = {name: latencies(stream, server, mirror) for name, stream in streams.items()}
            return {"events": events, "cores": (agent.cpu_seconds() - cpu) / (time.monotonic() - began)}

        quiet = phase()
        before, began = strangers.forwarded(), time.monotonic()
        with strangers.sending(victim["status"]["podIP"], flood.senders, flood.rate, flood.likeness):
            time.sleep(SETTLE_SECONDS)
            flooded = phase()
        seconds = time.monotonic() - began
        peak = agent.peak_megabytes()
        agent.stop()
        packets = strangers.forwarded() - before
        written = Written.of(path)
    return {
        "is_logged": flood.is_logged,
        "quiet": quiet,
        "flooded": flooded,
        "packets": packets,
        "seconds": seconds,
        "peak_mb": peak,
        "written": asdict(written),
    }


def _victim(objects: list[Manifest], mirror: Mirror) -> Manifest:
    """A pod of the node that policies isolate: none of the cluster's allows anything to strangers."""
    chains = mirror.ruleset().tables[Family.IPV4].chains
    for each in objects:
        if each["kind"] == "Pod" and each["spec"]["nodeName"] == NODE and each["metadata"]["namespace"] != BARE:
            metadata = each["metadata"]
            if pod_chain(metadata["namespace"], metadata["name"], Direction.INGRESS) in chains:
                return each
    raise SystemExit("no pod of the node is isolated")


def _unlogged(name: str, objects: list[Manifest], mirror: Mirror) -> None:
    """Nothing is recorded of the namespace's pods (X17)."""
    namespace = next(each for each in objects if each["kind"] == "Namespace" and each["metadata"]["name"] == name)
    namespace["metadata"].setdefault("annotations", {})[AUDIT_ANNOTATION] = AuditLevel.NONE.value
    mirror.apply(("put", namespace))


if __name__ == "__main__":
    print(json.dumps(measure(Size(*map(int, sys.argv[1:])))))
