"""The metrics as they are scraped."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

import netpol
from netpol.model.facts import FIREWALL_KINDS, PROXY_KINDS, Kind
from netpol.telemetry.metrics import BUCKETS_SECONDS, MOST_AUDITED_POLICIES, Metrics

openmetrics_families: Callable[[str], Iterable[Metric]] = openmetrics_parser.text_string_to_metric_families
openmetrics_text: Callable[[CollectorRegistry], bytes] = openmetrics.generate_latest


@pytest.fixture
def metrics() -> Metrics:
    """Metrics of which each has been used."""
    metrics = Metrics()
    metrics.watch_failures.labels(Kind.POD.value, 'gone: "410"\n').inc()
    metrics.lists.labels(Kind.POD.value).inc(3)
    metrics.watch_events.labels(Kind.POD.value, "ADDED").inc()
    for gauge in (metrics.watch_connected, metrics.objects, metrics.unreadable_objects):
        gauge.labels(Kind.POD.value).set(1)
    metrics.events.labels("posted").inc()
    metrics.sync_failures.labels("ipset").inc()
    metrics.event_to_kernel_seconds.observe(0.004)
    metrics.audit_packets.labels("deny", "rule", *metrics.audit_policy_labels.bounded("web", "deny")).inc(3)
    metrics.audit_records.labels("stdout", "written").inc()
    metrics.audit_lost_packets.labels("kernel").inc(9)
    return metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_the_text_format_can_be_read_back(metrics: Metrics) -> None:
    families = {
        family.name: family for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())
    }

    assert families["netpol_watch_failures"].samples[0].labels == {"kind": "Pod", "reason": 'gone: "410"\n'}
    assert families["netpol_lists"].samples[0].value == 3
    assert families["netpol_event_to_kernel_seconds"].type == "histogram"


def test_the_openmetrics_format_can_be_read_back(metrics: Metrics) -> None:
    families = {family.name: family for family in openmetrics_families(openmetrics_text(metrics.registry).decode())}

    assert families["netpol_lists"].samples[0].value == 3
    assert families["netpol_build"].samples[0].labels == {"version": netpol.__version__}


def test_no_series_tells_when_another_began(metrics: Metrics) -> None:
    assert b"_created" not in generate_latest(metrics.registry)


def test_time_from_event_to_kernel_is_told_apart_from_a_millisecond_to_a_minute(metrics: Metrics) -> None:
    assert (BUCKETS_SECONDS[0], BUCKETS_SECONDS[-1]) == (0.001, 60)
    assert value(metrics, "netpol_event_to_kernel_seconds_bucket", le="0.002") == 0
    assert value(metrics, "netpol_event_to_kernel_seconds_bucket", le="0.005") == 1


def test_nothing_is_labelled_by_what_a_cluster_has_thousands_of_but_what_is_bounded(metrics: Metrics) -> None:
    labels = {
        family.name: {label for sample in family.samples for label in sample.labels}
        for family in metrics.registry.collect()
    }

    assert labels.pop("netpol_audit_packets") == {"action", "reason", "namespace", "policy"}
    assert set().union(*labels.values()) == {
        *("kind", "type", "reason", "subsystem", "direction", "version", "le"),
        *("outlet", "outcome", "where"),
    }


def test_so_many_policies_are_told_apart(metrics: Metrics) -> None:
    asked = [metrics.audit_policy_labels.bounded("web", str(each)) for each in range(MOST_AUDITED_POLICIES + 10)]

    assert len({*asked, ("web", "deny")}) == MOST_AUDITED_POLICIES + 1
    assert asked[-1] == ("(other)", "(other)")


def test_what_can_be_counted_from_the_start_is_there_before_it_happens() -> None:
    metrics = Metrics()

    assert [value(metrics, "netpol_notices", kind=kind.value) for kind in FIREWALL_KINDS] == [0] * len(FIREWALL_KINDS)
    assert value(metrics, "netpol_pods_isolated", direction="egress") == 0
    assert value(metrics, "netpol_in_sync") == 0


def test_no_kind_that_is_not_followed_has_a_series() -> None:
    firewall, proxy = Metrics(), Metrics(kinds=PROXY_KINDS)

    assert [value(firewall, "netpol_notices", kind=kind) for kind in ("Service", "EndpointSlice")] == [None, None]
    assert [value(proxy, "netpol_notices", kind=kind) for kind in ("Service", "EndpointSlice")] == [0, 0]
    assert value(proxy, "netpol_notices", kind="Pod") is None


def test_the_process_tells_of_itself(metrics: Metrics) -> None:
    resident = value(metrics, "process_resident_memory_bytes")

    assert resident is not None
    assert resident > 1_000_000
    assert value(metrics, "process_open_fds") is not None
    assert value(metrics, "process_cpu_seconds_total") is not None


def test_a_registry_may_be_shared_with_other_metrics() -> None:
    registry = CollectorRegistry()
    Gauge("others", "Another's.", registry=registry)

    assert Metrics(registry).registry is registry
    assert b"netpol_batches_total" in generate_latest(registry)
