"""What a person reads and imports agrees with the metrics there are: docs/operating.md, the dashboard, the alerts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from netpol.model.facts import Key, Kind
from netpol.model.notices import Notice
from netpol.model.ports import Protocol
from netpol.telemetry.events import _REASONS, Event, Outcome
from netpol.telemetry.metrics import Metrics
from proxy.metrics import ProxyMetrics
from proxy.model import HeldServer, Scheduling, ServerAddress
from proxy.traffic import ServiceTraffic

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
MONITORING = ROOT / "manifests/monitoring"
DASHBOARD = json.loads((MONITORING / "grafana-dashboard.json").read_text(encoding="utf-8"))
ALERTS = yaml.safe_load((MONITORING / "alerts.yaml").read_text(encoding="utf-8"))
POD_MONITOR = yaml.safe_load((MONITORING / "pod-monitor.yaml").read_text(encoding="utf-8"))

NAME = r"(?:netpol|kube_router|kubeproxy|process)_\w+"
ROW = re.compile(
    rf"^\| `(?P<name>{NAME})` \| (?P<type>\w+) \| (?P<labels>[\w, ]*?) ?\| (?P<meaning>.+) \|$", re.MULTILINE
)
TARGETS_LABELS = {"node", "job", "instance", "le"}


def described() -> dict[str, tuple[str, frozenset[str]]]:
    """Type and labels of each metric of the page."""
    return {
        row["name"]: (row["type"], frozenset(filter(None, row["labels"].split(", ")))) for row in ROW.finditer(PAGE)
    }


def served() -> dict[str, tuple[str, frozenset[str]]]:
    """Type and labels of each metric as it is scraped, under the name of its series."""
    metrics = Metrics()
    of_proxy = ProxyMetrics(metrics.registry)
    key = ServerAddress(ip_address("10.96.0.1"), Protocol.TCP, 443)
    server, owner = HeldServer(key, Scheduling()), ("default", "kubernetes")
    metrics.registry.register(ServiceTraffic(lambda: {key: server}, lambda: {key: owner}, of_proxy.scrape_failures))
    labels = {
        each._name: frozenset(each._labelnames)
        for each in (*vars(metrics).values(), *vars(of_proxy).values())
        if isinstance(each, MetricWrapperBase)
    }
    found = {}
    for family in metrics.registry.collect():
        match family.type:
            case "counter":
                found[f"{family.name}_total"] = "counter", labels.get(family.name, frozenset())
            case "info":
                found[f"{family.name}_info"] = "gauge", frozenset(family.samples[0].labels)
            case _ if family.name.startswith("kube_router_service_"):
                found[family.name] = family.type, frozenset(family.samples[0].labels)
            case _:
                found[family.name] = family.type, labels.get(family.name, frozenset())
    return found


def series() -> dict[str, frozenset[str]]:
    """The labels of every series that a query may name."""
    return {
        f"{name}{suffix}": labels | {"le"} if suffix == "_bucket" else labels
        for name, (kind, labels) in served().items()
        for suffix in (("_bucket", "_count", "_sum") if kind == "histogram" else ("",))
    }


def queries() -> Iterator[tuple[str, str]]:
    """Every query of the dashboard and the alerts, and whose it is."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield f"panel {panel['title']}", target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield f"variable {variable['name']}", variable["query"]["query"]
    for rule in rules():
        yield f"alert {rule['alert']}", rule["expr"]


def rules() -> list[dict[str, Any]]:
    return [rule for group in ALERTS["spec"]["groups"] for rule in group["rules"]]


def test_the_page_describes_every_metric_and_no_other() -> None:
    assert described() == served()


def test_no_row_of_the_page_is_left_unread() -> None:
    rows = [line for line in PAGE.splitlines() if re.match(rf"\| `{NAME}`", line)]

    assert len(rows) == len(described()) > 30


@pytest.mark.parametrize(("whose", "query"), [*queries()], ids=lambda value: value)
def test_a_query_names_metrics_that_exist_and_labels_they_have(whose: str, query: str) -> None:
    named = re.findall(NAME, query)
    assert named or whose == "alert NetpolDown"
    assert set(named) <= series().keys()

    has = TARGETS_LABELS.union(*(series()[name] for name in named))
    asked = re.findall(r"(\w+)=~?\"", query) + re.split(
        r",\s*", ", ".join(re.findall(r"by \(([\w, ]+)\)", query)) or "le"
    )
    assert set(asked) <= has


@pytest.mark.parametrize(("whose", "query"), [*queries()], ids=lambda value: value)
def test_a_query_is_closed_and_counters_are_asked_for_their_rate(whose: str, query: str) -> None:
    for opened, closed in ("()", "{}", "[]"):
        assert query.count(opened) == query.count(closed)
    for counter in re.findall(rf"{NAME}_(?:total|bucket)\b", query):
        assert re.search(rf"(?:rate|increase)\({counter}", query)


def test_every_metric_of_ours_but_the_rare_is_on_the_dashboard_or_in_an_alert() -> None:
    shown = {name for _, query in queries() for name in re.findall(NAME, query)}
    rare = {
        "netpol_events_total",
        "netpol_last_success_timestamp_seconds",
        "netpol_lists_total",
        "netpol_resyncs_total",
    }
    ours = {name for name in series() if name.startswith("netpol_") and not name.endswith(("_sum", "_count"))}

    assert ours - shown == rare


def test_the_dashboards_panels_have_places_of_their_own() -> None:
    panels = DASHBOARD["panels"]
    places = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(set(places)) == len(places)
    assert max(x for x, _ in places) < 24


def test_the_page_says_what_to_do_about_every_alert() -> None:
    assert re.findall(r"^\| `(Netpol\w+)` \|", PAGE, re.MULTILINE) == [rule["alert"] for rule in rules()]


def test_the_page_names_every_outcome_and_reason_of_an_event() -> None:
    reasons = {Event.of(key, "", notice).reason for key, notice in _one_of_each_kind()}

    assert [each.value for each in Outcome if f"`{each.value}`" not in PAGE] == []
    assert set(re.findall(r"^\| `(Invalid\w+|Not\w+)` \|", PAGE, re.MULTILINE)) == reasons > set(_REASONS.values())


def _one_of_each_kind() -> Iterator[tuple[Key, Notice]]:
    for kind in Kind:
        yield Key(kind, "web", "x"), Notice(kind.value, "web", "x", "spec", "not understood")


def test_the_pod_monitor_scrapes_the_path_that_is_served_unless_told_otherwise() -> None:
    [endpoint] = POD_MONITOR["spec"]["podMetricsEndpoints"]

    assert (endpoint["port"], endpoint["path"]) == ("metrics", "/metrics")
    assert {relabelling["targetLabel"] for relabelling in endpoint["relabelings"]} == {"node"}
