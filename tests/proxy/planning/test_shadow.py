"""The shadow of IPVS: equal to what would be read, whatever steps were carried out."""

from __future__ import annotations

from proxy_builders import destination, server

from netpol.dataplane.memory.journal import Journal
from proxy.kernel.memory import MemoryServers
from proxy.model import (
    AddDestination,
    AddServer,
    EditDestination,
    EditServer,
    Forwarding,
    RemoveDestination,
    RemoveServer,
    Scheduling,
    ServerStep,
)
from proxy.planning.shadow import ServerShadow

WEB, DNS = server("10.96.0.10:80/TCP"), server("10.96.0.2:53/UDP")
ONE, TWO = destination("10.0.0.1:80"), destination("10.0.0.2:80")

STEPS: tuple[ServerStep, ...] = (
    AddServer(WEB, Scheduling()),
    AddDestination(WEB, ONE),
    AddDestination(WEB, TWO, 1, Forwarding.TUNNEL),
    AddServer(DNS, Scheduling("lc")),
    EditServer(WEB, Scheduling("sh", persistence_seconds=60)),
    EditDestination(WEB, ONE, 0),
    RemoveDestination(WEB, TWO),
    AddDestination(DNS, ONE),
    RemoveServer(DNS),
    RemoveServer(DNS),
)


def test_it_follows_every_step() -> None:
    kernel, shadow = MemoryServers(Journal()), ServerShadow()
    for step in STEPS:
        kernel.apply([step])
        shadow.follow([step])
        assert shadow.servers == kernel.read()
    assert list(shadow.servers) == [WEB]


def test_what_was_read_a_moment_ago_replaces_what_was_known() -> None:
    kernel = MemoryServers(Journal())
    kernel.apply(STEPS[:4])
    shadow = ServerShadow(kernel.read())
    kernel.apply([EditDestination(WEB, ONE, 0), RemoveServer(DNS)])
    shadow.found([WEB, DNS], {key: each for key, each in kernel.read().items() if key == WEB})
    assert shadow.servers == kernel.read()
    assert shadow.part([WEB, DNS]) == kernel.read()
