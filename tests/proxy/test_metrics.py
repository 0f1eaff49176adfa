"""The proxy's metrics: the names that dashboards ask for, and what they say of an event."""

from __future__ import annotations

from live_proxy import SERVERS_PERIOD_SECONDS, LiveProxy
from prometheus_client import CollectorRegistry
from proxy_builders import endpoint, endpoint_slice, service

from proxy.metrics import ProxyMetrics

WEB = service("shop/web", "10.96.0.10")
WEB_SLICE = endpoint_slice("shop/web-1", "web", endpoint("10.0.0.1", "n1"))


def test_others_names_are_kept() -> None:
    registry = CollectorRegistry()
    ProxyMetrics(registry)
    names = {metric.name for metric in registry.collect()}
    assert {
        "kubeproxy_sync_proxy_rules_duration_seconds",
        "kubeproxy_sync_proxy_rules_last_timestamp_seconds",
        "kubeproxy_network_programming_duration_seconds",
        "kube_router_controller_ipvs_services",
        "kube_router_controller_ipvs_services_sync_time",
    } <= names


def test_an_event_is_measured_and_its_steps_are_counted() -> None:
    live = LiveProxy().started(WEB)
    assert live.metric("kubeproxy_network_programming_duration_seconds_count") == 0
    assert live.metric("kube_router_controller_ipvs_services_sync_time_count") == 1
    before = live.metric("netpol_proxy_steps_total", subsystem="servers")
    live.put(WEB_SLICE)
    assert live.metric("netpol_proxy_steps_total", subsystem="servers") == before + 1
    assert live.metric("netpol_proxy_steps_total", subsystem="link") == 2, "itself and an address"
    assert live.metric("netpol_proxy_steps_total", subsystem="settings") == 3
    assert live.metric("kubeproxy_network_programming_duration_seconds_count") == 1
    assert live.metric("kubeproxy_sync_proxy_rules_duration_seconds_count") == 2
    assert live.metric("kubeproxy_sync_proxy_rules_last_timestamp_seconds") > 0
    assert live.metric("kube_router_controller_ipvs_services") == 1
    live.step(SERVERS_PERIOD_SECONDS)
    assert live.metric("kube_router_controller_ipvs_services_sync_time_count") == 2
