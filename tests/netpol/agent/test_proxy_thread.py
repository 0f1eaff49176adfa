"""The service proxy's thread on a kernel that has IPVS."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from builders import node
from prometheus_client import CollectorRegistry
from proxy_builders import destination, endpoint, endpoint_slice, server, service
from proxy_facts import Told, gone, key_of, put
from waiting import wait_until

from netpol.agent.own_writes import WritesOfAll
from netpol.agent.proxy_kernel import read_servers
from netpol.agent.proxy_thread import ProxyThread
from netpol.bus import Bus
from netpol.model.facts import PROXY_KINDS
from netpol.settings import AgentSettings, ApiSource, NodeOptions, ProxySettings, Variant
from netpol.telemetry.health import Health
from netpol.telemetry.metrics import Metrics
from netpol.telemetry.notices import NoticeBoard
from proxy.controller import PART, Instruments
from proxy.kernel.links import DummyLink
from proxy.metrics import ProxyMetrics

PROXY = ProxySettings(node_ports_on_all_addresses=True)
SETTINGS = AgentSettings(NodeOptions("n1"), ApiSource(), firewall=False, proxy=PROXY)
NODE = node("n1", "192.0.2.1", pod_cidrs=["10.0.0.0/24"])
WEB = service("shop/web", "10.96.0.10", ports="80:30080/TCP")
ENDPOINTS = endpoint_slice("shop/web-1", "web", endpoint("10.0.0.1", "n1"), ports="80/TCP")
VIP, NODE_PORT = server("10.96.0.10:80/TCP"), server("192.0.2.1:30080/TCP")


class Parts:
    """A bus, a thread that was not started, and what they tell."""

    def __init__(self) -> None:
        self.bus = Bus()
        self.metrics = Metrics(CollectorRegistry())
        self.health = Health(time.monotonic, 60.0)
        self.health.expect_programmed(PART)
        self.firsts = 0
        board = NoticeBoard(self.metrics)
        instruments = Instruments(ProxyMetrics(self.metrics.registry), self.health, board, time.monotonic)
        self.thread = ProxyThread(
            SETTINGS, PROXY, Variant.LEGACY, self.bus, self.metrics, instruments, WritesOfAll(), self._note_first
        )

    def list(self, *objects: Told) -> None:
        """Every kind is listed, and these are all there are."""
        named = {key_of(each): each for each in (NODE, *objects)}
        self.bus.replace_all(
            {kind: {key.object_name: each for key, each in named.items() if key.kind is kind} for kind in PROXY_KINDS}
        )

    def say(self, *objects: Told) -> None:
        """So it is now."""
        for fact in put(*objects):
            self.bus.record(fact)

    def gauge(self, name: str, **labels: str) -> float:
        """The value of a metric."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def _note_first(self) -> None:
        self.firsts += 1


def test_it_follows_services_their_endpoints_and_nodes() -> None:
    assert Parts().thread.subscription.kinds == frozenset(PROXY_KINDS)


@pytest.fixture(name="parts")
def _parts(private_network: None) -> Iterator[Parts]:
    ip("link", "add", "uplink", "type", "dummy")
    ip("addr", "add", "192.0.2.1/24", "dev", "uplink")
    ip("link", "set", "uplink", "up")
    parts = Parts()
    yield parts
    parts.thread.stop()


def ip(*words: str) -> None:
    subprocess.run(("ip", *words), check=True)


def started(parts: Parts) -> None:
    """The kernel serves the service."""
    parts.list(WEB, ENDPOINTS)
    parts.thread.start()
    wait_until(parts.health.is_ready, "services are programmed")


@pytest.mark.vm
def test_it_keeps_services_and_leaves_them_when_it_is_stopped(parts: Parts) -> None:
    started(parts)
    assert parts.firsts == 1
    assert read_servers().keys() == {VIP, NODE_PORT}
    parts.say(endpoint_slice("shop/web-1", "web", endpoint("10.0.0.1", "n1"), endpoint("10.0.1.2", "n2")))
    wait_until(lambda: destination("10.0.1.2:80") in read_servers()[VIP].destinations, "the endpoint is served")
    parts.thread.stop()
    assert (parts.thread.is_alive(), parts.thread.error) == (False, None)
    for fact in gone(WEB):
        parts.bus.record(fact)
    assert read_servers().keys() == {VIP, NODE_PORT}
    with DummyLink() as link:
        assert link.read() == frozenset({ip_address("10.96.0.10")})
    assert Path("/proc/sys/net/ipv4/vs/conntrack").read_text().strip() == "1"


@pytest.mark.vm
def test_node_ports_follow_the_nodes_addresses_at_once(parts: Parts) -> None:
    started(parts)
    ip("addr", "add", "198.51.100.7/24", "dev", "uplink")
    other = server("198.51.100.7:30080/TCP")
    wait_until(lambda: other in read_servers(), "the other address serves it too", 5.0)
    ip("addr", "del", "198.51.100.7/24", "dev", "uplink")
    wait_until(lambda: other not in read_servers(), "it does so no more", 5.0)


@pytest.mark.vm
def test_what_services_carry_is_told_when_it_is_scraped(parts: Parts) -> None:
    labels = {"svc_namespace": "shop", "service_name": "web", "service_vip": "10.96.0.10"}
    started(parts)
    name = "kube_router_service_total_connections"
    found = parts.metrics.registry.get_sample_value(name, {**labels, "protocol": "tcp", "port": "80"})
    assert found == 0
    assert parts.gauge("netpol_proxy_in_sync") == 1
    assert parts.gauge("netpol_proxy_scrape_failures_total") == 0
