"""The agent's Prometheus metrics; what each means to an operator stands in docs/operating.md."""

from __future__ import annotations

from collections.abc import Callable, Collection

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

import netpol
from netpol.model.facts import FIREWALL_KINDS, Kind
from netpol.model.policies import Direction
from netpol.telemetry.aliases import Aliases
from netpol.telemetry.bounded_labels import BoundedLabels

_leave_out_creation_times: Callable[[], None] = disable_created_metrics
"""A series more for each counter and each histogram, of which Prometheus makes nothing in its text format."""

MOST_AUDITED_POLICIES = 300
"""Pairs of a namespace and a policy that the audit log's packets are counted for; a series each, or a few."""

_VERDICT_LABELS = ("action", "reason", "namespace", "policy")

BUCKETS_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class Metrics:
    """Every metric of the agent, in a registry of its own unless one is given; for any number of threads.

    What is told by kind is there from the start for each of `kinds`, which are those followed.

    Nothing is labelled by a pod: a series each would cost the server that scrapes all nodes
    more than the answer is worth. By namespace and policy there is one metric, the audit log's
    packets, and it tells only the first `MOST_AUDITED_POLICIES` apart. Logs name the object.
    """

    def __init__(self, registry: CollectorRegistry | None = None, kinds: Collection[Kind] = FIREWALL_KINDS) -> None:
        _leave_out_creation_times()
        self.registry = registry or CollectorRegistry()
        self._add_sources(kinds)
        self._add_controller()
        self._add_ruleset()
        self._add_audit()
        self.registry.register(Aliases(self.sync_seconds, self.compile_seconds, self.ruleset_chains, self.ruleset_sets))
        Info("netpol_build", "The version that runs.", registry=self.registry).info({"version": netpol.__version__})
        ProcessCollector(registry=self.registry)

    def _add_sources(self, kinds: Collection[Kind]) -> None:
        self.watch_failures = self._counter(
            "watch_failures", "Lists and watches that failed and were tried again.", "kind", "reason"
        )
        self.lists = self._counter("lists", "Complete lists read.", "kind")
        self.watch_events = self._counter("watch_events", "Events received.", "kind", "type")
        self.watch_connected = self._gauge("watch_connected", "1 while the kind is followed, 0 while not.", "kind")
        self.objects = self._gauge("objects", "Objects known.", "kind")
        self.unreadable_objects = self._gauge("unreadable_objects", "Objects that could not be decoded.", "kind")
        self.notices = self._gauge("notices", "Parts of objects that were not understood.", "kind")
        self.events = self._counter("events", "Kubernetes Events about such parts, by what became of them.", "outcome")
        for kind in kinds:
            self.notices.labels(kind.value)

    def _add_controller(self) -> None:
        self.batches = self._counter("batches", "Batches of facts brought to the kernel.")
        self.facts = self._counter("facts", "Facts taken from the bus.")
        self.event_to_kernel_seconds = self._histogram(
            "event_to_kernel_seconds", "From a fact's recording to the kernel holding what it means."
        )
        self.compile_seconds = self._histogram("compile_seconds", "Working out what a batch changes in the ruleset.")
        self.sync_seconds = self._histogram(
            "sync_seconds", "Bringing a batch to the kernel, cutting of connections included."
        )
        self.sync_failures = self._counter("sync_failures", "Writes or reads that the kernel refused.", "subsystem")
        self.retries = self._counter("retries", "Comparisons made because something was refused before.")
        self.resyncs = self._counter("resyncs", "Comparisons of the whole kernel with the ruleset.")
        self.drift_repaired = self._counter("drift_repaired", "Steps that mended what others had changed.")
        self.foreign_changes = self._counter(
            "foreign_changes", "Alarms that others changed what is ours, between two comparisons."
        )
        self.flows_cut = self._counter("flows_cut", "Living connections cut as the policies deny them.")
        self.last_success_timestamp_seconds = self._gauge(
            "last_success_timestamp_seconds", "When the kernel was last known to hold the ruleset."
        )
        self.in_sync = self._gauge("in_sync", "1 while the kernel holds what the known objects ask for.")

    def _add_ruleset(self) -> None:
        self.ruleset_sets = self._gauge("ruleset_sets", "Sets of the ruleset.")
        self.ruleset_members = self._gauge("ruleset_members", "Members of all its sets.")
        self.ruleset_chains = self._gauge("ruleset_chains", "Chains of the ruleset, both families.")
        self.ruleset_rules = self._gauge("ruleset_rules", "Rules of all its chains.")
        self.pods_isolated = self._gauge("pods_isolated", "Pods of this node that are isolated.", "direction")
        for direction in Direction:
            self.pods_isolated.labels(direction.value)

    def _add_audit(self) -> None:
        self.audit_packets = self._counter(
            "audit_packets", "Packets told of in the audit log, by their verdict.", *_VERDICT_LABELS
        )
        self.audit_policy_labels = BoundedLabels(MOST_AUDITED_POLICIES)
        self.audit_records = self._counter(
            "audit_records", "Records of the audit log, by what became of them.", "outlet", "outcome"
        )
        self.audit_lost_packets = self._counter(
            "audit_lost_packets", "Packets that the audit log only counts, by where they were lost.", "where"
        )
        self.audit_listening = self._gauge("audit_listening", "1 while the kernel tells of what it logs.")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, namespace="netpol", registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, namespace="netpol", registry=self.registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, namespace="netpol", buckets=BUCKETS_SECONDS, registry=self.registry)
