"""Bringing services to the kernel once, for a process that ends then."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, replace

from netpol.agent.proxy_kernel import clear_superseded, open_proxy_kernel
from netpol.errors import KernelRefusal
from netpol.listing import listed
from netpol.model.facts import PROXY_KINDS, Fact, Key, lists
from netpol.model.networks import Address
from netpol.model.notices import Notice
from netpol.model.snapshot import Snapshot
from netpol.settings import NodeOptions, ProxySettings, Variant
from proxy.outcome import Outcome
from proxy.programming import Programming
from proxy.services.engine import ProxyEngine
from proxy.troubles import troubles

MOST_REASONS = 3


@dataclass(frozen=True, slots=True)
class ServedOnce:
    """What was done to the kernel, and what services do not get that they ask for."""

    outcome: Outcome
    notices: tuple[Notice, ...]


def serve_once(node: NodeOptions, settings: ProxySettings, variant: Variant, snapshot: Snapshot) -> ServedOnce:
    """The kernel of this network namespace holds what the services ask for. Raises KernelRefusal.

    Nobody stays to see connections end: an endpoint that is gone is gone with those it has.
    """
    clear_superseded(variant)
    at_once = replace(settings, graceful_seconds=0.0)
    with open_proxy_kernel(variant, node.families) as kernel:
        engine = ProxyEngine(node.name, node.families, at_once)
        programming = Programming(engine, kernel.writers, at_once)
        _tell(engine, snapshot, kernel.node_addresses.read())
        asked = {service.scheduler for service in snapshot.services.values() if service.scheduler}
        engine.set_unavailable(frozenset(name for name in asked if not programming.offers(name)))
        outcome = programming.converge(time.monotonic())
    if programming.refused:
        raise KernelRefusal(listed(dict.fromkeys(programming.refused.values()), MOST_REASONS))
    return ServedOnce(outcome, tuple(_notices(engine, programming)))


def _tell(engine: ProxyEngine, snapshot: Snapshot, addresses: frozenset[Address]) -> None:
    """The engine knows all that the proxy depends on."""
    known = lists(snapshot)
    engine.set_node_addresses(addresses)
    engine.apply(Fact(Key(kind, *name), value) for kind in PROXY_KINDS for name, value in known[kind].items())


def _notices(engine: ProxyEngine, programming: Programming) -> Collection[Notice]:
    owners = {key: name for name, served in engine.served.items() for key in served.servers}
    told = (*engine.notices.values(), *troubles(programming, owners, engine.served).values())
    return sorted((notice for each in told for notice in each), key=str)
