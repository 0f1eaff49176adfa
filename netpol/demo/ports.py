"""Which ports are worth a probe: those that policies and containers name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netpol.demo.raw import at, sequence, text
from netpol.model.policies import Direction
from netpol.model.ports import (
    ALL_PORTS,
    FIRST_PORT,
    LAST_PORT,
    PROTOCOLS_WITH_PORTS,
    NumericPorts,
    PortEntry,
    Protocol,
    ProtocolPort,
)
from netpol.model.snapshot import Snapshot
from netpol.source.fields import Fields

MOST_PORTS = 6
ALWAYS = ProtocolPort(Protocol.TCP, 80)


def ports_worth_probing(snapshot: Snapshot, objects: Iterable[Fields]) -> list[ProtocolPort]:
    """80/TCP, then the ports that policies name, then those of containers, each once; of a range the first."""
    named = dict.fromkeys([ALWAYS, *sorted(_of_policies(snapshot), key=_order), *sorted(_of(objects), key=_order)])
    return list(named)


def _order(port: ProtocolPort) -> tuple[str, int]:
    return port.protocol.value, port.port or 0


def _of_policies(snapshot: Snapshot) -> set[ProtocolPort]:
    entries = {
        entry
        for policy in snapshot.policies.values()
        for direction in Direction
        for rule in policy.rules(direction)
        for entry in rule.ports or ()
    }
    return {port for entry in entries for port in _numbers(entry, snapshot)}


def _numbers(entry: PortEntry, snapshot: Snapshot) -> Iterator[ProtocolPort]:
    if not isinstance(entry, NumericPorts):
        for pod in snapshot.pods.values():
            yield from (ProtocolPort(entry.protocol, number) for number in pod.numbers_of(entry.name, entry.protocol))
    elif entry.ports != ALL_PORTS:
        yield ProtocolPort(entry.protocol, entry.ports.first)


def _of(objects: Iterable[Fields]) -> set[ProtocolPort]:
    """The ports that the containers of pods declare."""
    return {
        ProtocolPort(PROTOCOLS_WITH_PORTS[protocol], number)
        for fields in objects
        if text(fields, "kind") == "Pod"
        for container in sequence(at(fields, "spec"), "containers")
        if isinstance(container, dict)
        for port in sequence(container, "ports")
        if isinstance(port, dict)
        for protocol, number in [(text(port, "protocol") or Protocol.TCP.value, port.get("containerPort"))]
        if protocol in PROTOCOLS_WITH_PORTS and isinstance(number, int) and FIRST_PORT <= number <= LAST_PORT
    }
