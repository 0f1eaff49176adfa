"""What services carry: kube-router's names, and a scrape that waits for nobody."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, generate_latest
from proxy_builders import server

from netpol.errors import KernelRefusal
from netpol.model.networks import Family
from netpol.model.snapshot import ObjectName
from proxy.model import HeldServer, Scheduling, ServerKey, ServerMark, Traffic
from proxy.traffic import Read, ServiceTraffic

VIP, FOREIGN = server("10.96.0.10:80/TCP"), server("198.51.100.1:80/TCP")
MARK = ServerMark(Family.IPV4, 0x4E000001)
CARRIED = Traffic(11, 12, 13, 14, 15, 21, 22, 23, 24, 25)
SERVICES: Mapping[ServerKey, ObjectName] = {VIP: ("shop", "web"), MARK: ("shop", "web")}


def held() -> dict[ServerKey, HeldServer]:
    return {key: HeldServer(key, Scheduling(), traffic=CARRIED) for key in (VIP, FOREIGN, MARK)}


def scraped(read: Read, patience_seconds: float = 5.0) -> tuple[list[str], float]:
    """The samples of a scrape, and how many scrapes failed."""
    registry = CollectorRegistry()
    failures = Counter("failures", "", registry=registry)
    registry.register(ServiceTraffic(read, lambda: SERVICES, failures, patience_seconds))
    lines = generate_latest(registry).decode().splitlines()
    failed = registry.get_sample_value("failures_total") or 0.0
    return [line for line in lines if line.startswith("kube_router")], failed


def test_each_server_of_a_service_has_all_that_it_carries() -> None:
    labels = '{port="80",protocol="tcp",service_name="web",service_vip="10.96.0.10",svc_namespace="shop"}'
    assert scraped(held) == (
        [
            f"kube_router_service_{name}{labels} {value}.0"
            for name, value in {
                "total_connections": 11,
                "packets_in": 12,
                "packets_out": 13,
                "bytes_in": 14,
                "bytes_out": 15,
                "cps": 21,
                "pps_in": 22,
                "pps_out": 23,
                "bps_in": 24,
                "bps_out": 25,
            }.items()
        ],
        0,
    )


def test_a_kernel_that_refuses_fails_no_scrape() -> None:
    def refuse() -> dict[ServerKey, HeldServer]:
        raise KernelRefusal("virtual servers cannot be read")

    assert scraped(refuse) == ([], 1)


def test_a_kernel_that_does_not_answer_holds_up_no_scrape() -> None:
    hanging = threading.Event()
    calls: list[int] = []

    def hang() -> dict[ServerKey, HeldServer]:
        calls.append(1)
        hanging.wait(10)
        return held()

    registry = CollectorRegistry()
    failures = Counter("failures", "", registry=registry)
    registry.register(ServiceTraffic(hang, lambda: SERVICES, failures, 0.05))
    for scrapes in (1, 2):
        assert b"service_vip" not in generate_latest(registry)
        assert registry.get_sample_value("failures_total") == scrapes
    assert calls == [1], "one reads at a time"
    hanging.set()
