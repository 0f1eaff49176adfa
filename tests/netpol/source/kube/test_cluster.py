"""Every kind at once, from the start to a stop."""

from __future__ import annotations

import time

from api_server import ApiServer
from api_store import Age
from builders import beta, namespace, node, pod, rule, world
from waiting import wait_until
from world_manifests import manifests

from netpol.bus import Bus
from netpol.model.facts import FIREWALL_KINDS, Kind
from netpol.settings import ApiSource, PolicyOptions
from netpol.source.kube.cluster import ClusterSource
from netpol.source.kube.connection import connect
from netpol.source.kube.resources import resources
from netpol.telemetry.health import Health
from netpol.telemetry.metrics import Metrics
from netpol.telemetry.notices import NoticeBoard
from netpol.trigger import Trigger

PLURALS = ("pods", "namespaces", "nodes", "networkpolicies")
WORLD = world(namespace("x"), node("one"), pod("x/a", "10.0.0.1"), beta("x/allow", ingress=[rule()]))


def source(url: str, bus: Bus) -> ClusterSource:
    metrics = Metrics()
    connection = connect(ApiSource(master=url))
    health = Health(time.monotonic, 60.0)
    return ClusterSource(resources(PolicyOptions()), connection, bus, NoticeBoard(metrics), metrics, health)


def test_every_kind_is_followed_until_it_stops() -> None:
    bus, trigger = Bus(), Trigger()
    subscription = bus.subscribe(FIREWALL_KINDS, trigger)
    with ApiServer(Age.OLD) as server:
        server.served.discard("/apis/networking.k8s.io/v1")
        server.store.load(manifests(WORLD))
        cluster = source(server.url, bus)
        cluster.start()
        wait_until(subscription.in_sync, trigger=trigger)
        assert {str(fact.key) for fact in subscription.take()} == {
            "Namespace x",
            "Node one",
            "Pod x/a",
            "NetworkPolicy x/allow",
        }
        server.wait_for_watch(*PLURALS)
        server.store.put(manifests(world(pod("x/b", "10.0.0.2")))[0])
        wait_until(lambda: bus.count(Kind.POD) == 2, trigger=trigger)
        started = time.monotonic()
        assert cluster.stop()
        assert time.monotonic() - started < 1
        server.store.put(manifests(world(pod("x/c", "10.0.0.3")))[0])
        assert bus.count(Kind.POD) == 2


def test_a_stop_while_the_server_is_away() -> None:
    with ApiServer() as server:
        url = server.url
    cluster = source(url, Bus())
    cluster.start()
    started = time.monotonic()
    assert cluster.stop()
    assert time.monotonic() - started < 1
