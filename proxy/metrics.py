"""The service proxy's metrics, beside the agent's; what each means to an operator stands in docs/operating.md.

Where kube-proxy or kube-router has a name for the same, dashboards and alerts find it under that name.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from netpol.telemetry.metrics import BUCKETS_SECONDS
from proxy.outcome import Outcome


class ProxyMetrics:
    """Every metric of the proxy but what services carry (`traffic`); for any number of threads."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.sync_seconds = self._histogram(
            "kubeproxy_sync_proxy_rules_duration_seconds", "Bringing changes of services to the kernel."
        )
        self.last_sync = self._gauge(
            "kubeproxy_sync_proxy_rules_last_timestamp_seconds", "When the kernel last held what services ask for."
        )
        self.event_to_kernel_seconds = self._histogram(
            "kubeproxy_network_programming_duration_seconds",
            "From the recording of a change of a service or its endpoints to the kernel holding it.",
        )
        self.servers = self._gauge("kube_router_controller_ipvs_services", "Virtual servers that services ask for.")
        self.compare_seconds = self._histogram(
            "kube_router_controller_ipvs_services_sync_time", "Comparing the whole kernel with what services ask for."
        )
        self.steps = self._counter("netpol_proxy_steps", "Changes made to the kernel, by the part of it.", "subsystem")
        self.drift_mended = self._counter("netpol_proxy_drift_mended", "Changes that mended what others had changed.")
        self.foreign_changes = self._counter(
            "netpol_proxy_foreign_changes", "Alarms that others changed what services need, between two comparisons."
        )
        self.failures = self._counter("netpol_proxy_sync_failures", "Writes or reads that the kernel refused.")
        self.flows_forgotten = self._counter(
            "netpol_proxy_flows_forgotten",
            "Connections forgotten: their endpoint serves no more, or their server is newer.",
        )
        self.draining = self._gauge("netpol_proxy_draining", "Endpoints that only keep the connections they have.")
        self.in_sync = self._gauge("netpol_proxy_in_sync", "1 while the kernel holds what services ask for.")
        self.conflicts = self._gauge("netpol_proxy_conflicts", "Virtual servers left to others, who had them before.")
        self.refused = self._gauge(
            "netpol_proxy_refused", "Virtual servers that the kernel does not take, or whose addresses."
        )
        self.unreachable = self._gauge("netpol_proxy_unreachable", "Pods of this node that cannot answer directly.")
        self.scrape_failures = self._counter("netpol_proxy_scrape_failures", "Scrapes without what services carry.")

    def count(self, done: Outcome) -> None:
        """The changes count that were made to the kernel."""
        numbers = {
            "rules": len(done.rules) + done.chains,
            "servers": len(done.servers),
            "link": done.bound + done.unbound + done.links,
            "routes": done.routes,
            "settings": done.settings,
        }
        for subsystem, number in numbers.items():
            self.steps.labels(subsystem).inc(number)
        self.flows_forgotten.inc(done.flows_forgotten)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self._registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, buckets=BUCKETS_SECONDS, registry=self._registry)
