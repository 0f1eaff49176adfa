"""Where the time of an event goes inside the agent, run in a namespace of its own: prints one JSON object.

One thread does what the agent's control thread does. What an event takes beyond this is the
API server's, the watcher's, and the waiting of one thread for another.
"""

from __future__ import annotations

import gc
import io
import json
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial, wraps
from itertools import islice
from typing import Any

from bench.live_events import Event, Events
from bench.live_mirror import fact
from bench.live_world import manifests
from bench.manifests import NODE, Size
from live import unfollowed

from netpol.bus import Bus
from netpol.compiler.engine import Engine
from netpol.control.cutter import Cutter
from netpol.control.firewall import KINDS, Firewall, Instruments
from netpol.dataplane import keeper
from netpol.dataplane.apply import Kernel
from netpol.dataplane.conntrack import NetlinkFlows
from netpol.dataplane.ipset import NetlinkSets
from netpol.dataplane.iptables import IptablesTables
from netpol.dataplane.keeper import Keeper
from netpol.dataplane.spares import Spares
from netpol.schedule import Schedule
from netpol.settings import NodeOptions, Variant
from netpol.telemetry.health import Health
from netpol.telemetry.logs import configure
from netpol.telemetry.metrics import Metrics
from netpol.trigger import Trigger

ROUNDS = 30
APART_SECONDS = 0.05
STAGES = {
    "engine": ("engine.apply", "engine.part"),
    "plan": ("keeper.plan",),
    "sets": ("sets.create", "sets.add", "sets.remove"),
    "IPv4 table": ("tables.write 4",),
    "IPv6 table": ("tables.write 6",),
    "cut": ("cutter.cut",),
}


class Stopwatch:
    """The milliseconds that calls took, by name, since the last `start`."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)

    def start(self) -> None:
        """Nothing was measured."""
        self.spent.clear()

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, measured; a table's by its family."""

        @wraps(call)
        def measured(*arguments: Any, **named: Any) -> Any:
            key = f"{name} {arguments[0].value}" if name == "tables.write" else name
            began = time.perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                self.spent[key] += 1000 * (time.perf_counter() - began)

        return measured

    def watch(self, name: str, owner: Any, *methods: str) -> None:
        """These methods of the object are measured."""
        for method in methods:
            setattr(owner, method, self.around(f"{name}.{method}", getattr(owner, method)))


def measure(size: Size) -> dict[str, dict[str, float]]:
    """For each kind of event the median milliseconds of each stage, and of all."""
    objects = manifests(size)
    stopwatch, bus = Stopwatch(), Bus()
    subscription, metrics = bus.subscribe(KINDS, Trigger()), Metrics()
    configure(0, io.StringIO())
    with NetlinkSets() as sets, NetlinkFlows() as flows, Spares() as spares:
        tables, engine = IptablesTables(Variant.NFT, spares=spares), Engine(NodeOptions(NODE))
        kernel = Kernel(sets, tables, flows)
        cutter = Cutter(kernel, NODE)
        stopwatch.watch("engine", engine, "apply", "part")
        stopwatch.watch("sets", sets, "create", "add", "remove")
        stopwatch.watch("tables", tables, "write")
        stopwatch.watch("cutter", cutter, "cut")
        stopwatch.watch("keeper", keeper, "plan")
        firewall = Firewall(
            subscription,
            engine,
            Keeper(kernel),
            cutter,
            Schedule(1e9, random.random),
            Instruments(metrics, Health(time.monotonic, 120), time.monotonic),
            unfollowed(),
        )
        facts = [fact("put", manifest) for manifest in objects]
        bus.replace_all({k: {f.key.object_name: f.value for f in facts if f.key.kind is k} for k in KINDS})
        firewall.step()
        gc.collect()
        gc.freeze()

        def take(event: Event) -> dict[str, float] | None:
            before = metrics.batches._value.get()
            stopwatch.start()
            began = time.perf_counter()
            bus.record(fact(*event))
            firewall.step()
            spent = {**stopwatch.spent, "all": 1000 * (time.perf_counter() - began)}
            return spent if metrics.batches._value.get() > before else None

        return {name: _medians(make(), take) for name, make in Events(objects).kinds().items()}


def _medians(events: Iterator[Event], take: Callable[[Event], dict[str, float] | None]) -> dict[str, float]:
    """Of events that change this node's kernel."""
    spent: list[dict[str, float]] = []
    for event in islice(events, ROUNDS * 20):
        if (one := take(event)) is not None:
            spent.append(one)
            time.sleep(APART_SECONDS)
        if len(spent) == ROUNDS:
            break
    of = partial(_median, spent)
    return {stage: of(calls) for stage, calls in STAGES.items()} | {"all": of(("all",))}


def _median(spent: list[dict[str, float]], calls: tuple[str, ...]) -> float:
    return statistics.median(sum(one.get(call, 0.0) for call in calls) for one in spent)


if __name__ == "__main__":
    print(json.dumps(measure(Size(*map(int, sys.argv[1:])))))
