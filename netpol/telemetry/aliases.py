"""kube-router's names of metrics, kept for the dashboards and alerts that ask for them.

Each is a view of one of ours at the time of the scrape, so the two never disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

PREFIX = "kube_router_controller_"


class Aliases(Collector):
    """What kube-router calls a sync is a batch here; its policy chains and ipsets are all that we keep."""

    def __init__(self, sync_seconds: Histogram, compile_seconds: Histogram, chains: Gauge, sets: Gauge) -> None:
        self._same = {
            "iptables_sync_time": sync_seconds,
            "policy_chains_sync_time": compile_seconds,
            "policy_chains": chains,
            "policy_ipsets": sets,
        }
        self._totals = {
            "iptables_sync_total_time": (sync_seconds, "_sum"),
            "iptables_sync_total_count": (sync_seconds, "_count"),
        }

    def describe(self) -> Iterable[Metric]:
        """The names alone."""
        for name, metric in self._same.items():
            yield from (_named(name, found) for found in metric.describe())
        for name in self._totals:
            yield _total(name)

    def collect(self) -> Iterator[Metric]:
        """Ours, under kube-router's names."""
        for name, metric in self._same.items():
            for found in metric.collect():
                alias = _named(name, found)
                for sample in found.samples:
                    alias.add_sample(alias.name + sample.name.removeprefix(found.name), sample.labels, sample.value)
                yield alias
        for name, (metric, suffix) in self._totals.items():
            alias = _total(name)
            for found in metric.collect():
                for sample in found.samples:
                    if sample.name == found.name + suffix:
                        alias.add_sample(alias.name, {}, sample.value)
            yield alias


def _named(name: str, metric: Metric) -> Metric:
    return Metric(f"{PREFIX}{name}", f"As {metric.name}: {metric.documentation}", metric.type)


def _total(name: str) -> Metric:
    """A counter by its nature, but its name lacks the `_total` that this type demands."""
    return Metric(f"{PREFIX}{name}", "As the sum and the count of the histogram beside it.", "unknown")
