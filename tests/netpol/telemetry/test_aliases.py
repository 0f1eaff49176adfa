"""kube-router's names of metrics."""

from __future__ import annotations

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from netpol.telemetry.aliases import PREFIX
from netpol.telemetry.metrics import Metrics


@pytest.fixture
def metrics() -> Metrics:
    metrics = Metrics()
    metrics.sync_seconds.observe(0.25)
    metrics.sync_seconds.observe(1)
    metrics.compile_seconds.observe(0.125)
    metrics.ruleset_chains.set(12)
    metrics.ruleset_sets.set(34)
    return metrics


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("iptables_sync_time_count", {}, 2),
        ("iptables_sync_time_sum", {}, 1.25),
        ("iptables_sync_time_bucket", {"le": "0.5"}, 1),
        ("iptables_sync_time_bucket", {"le": "+Inf"}, 2),
        ("policy_chains_sync_time_sum", {}, 0.125),
        ("iptables_sync_total_time", {}, 1.25),
        ("iptables_sync_total_count", {}, 2),
        ("policy_chains", {}, 12),
        ("policy_ipsets", {}, 34),
    ],
)
def test_an_alias_has_the_value_of_ours(metrics: Metrics, name: str, labels: dict[str, str], expected: float) -> None:
    assert metrics.registry.get_sample_value(PREFIX + name, labels) == expected


def test_an_alias_follows_ours(metrics: Metrics) -> None:
    metrics.ruleset_chains.set(13)

    assert metrics.registry.get_sample_value(f"{PREFIX}policy_chains") == 13


def test_an_alias_has_the_type_of_ours_and_says_which_it_is(metrics: Metrics) -> None:
    families = {
        family.name: family for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())
    }

    assert families[f"{PREFIX}iptables_sync_time"].type == "histogram"
    assert "netpol_sync_seconds" in families[f"{PREFIX}iptables_sync_time"].documentation
    assert families[f"{PREFIX}policy_ipsets"].type == "gauge"
