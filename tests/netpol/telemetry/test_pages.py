"""What each path answers."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable
from http import HTTPStatus

import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from netpol.errors import UsageError
from netpol.telemetry.health import Health
from netpol.telemetry.pages import Answer, Header, health_pages, metrics_pages

openmetrics_families: Callable[[str], Iterable[Metric]] = openmetrics.text_string_to_metric_families
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def headers(**given: str) -> Header:
    return {name.replace("_", "-"): value for name, value in given.items()}.get


@pytest.fixture
def health() -> Health:
    return Health(lambda: 0.0, stuck_after_seconds=60)


def scraped(**given: str) -> Answer:
    registry = CollectorRegistry()
    Gauge("answers", "How many.", registry=registry).set(42)
    return metrics_pages("/metrics", registry)["/metrics"](headers(**given))


def test_probes_answer_by_status_and_in_words(health: Health) -> None:
    pages = health_pages(health)
    alive, ready = pages["/healthz"](headers()), pages["/readyz"](headers())

    assert (alive.status, alive.body) == (HTTPStatus.OK, b"ok\n")
    assert (ready.status, ready.body) == (HTTPStatus.SERVICE_UNAVAILABLE, b"the kernel is not programmed yet\n")

    health.programmed("control")
    assert pages["/readyz"](headers()).status == HTTPStatus.OK


def test_a_reason_of_any_text_can_be_answered(health: Health) -> None:
    health.fail("source.kube", "é \ud800")

    assert "é \\ud800" in health_pages(health)["/healthz"](headers()).body.decode()


def test_a_scrape_is_text_unless_another_format_is_asked_for() -> None:
    answer = scraped()

    assert dict(answer.headers)["Content-Type"].startswith("text/plain")
    [family] = text_string_to_metric_families(answer.body.decode())
    assert family.samples[0].value == 42


def test_a_scrape_may_be_openmetrics() -> None:
    answer = scraped(Accept=OPENMETRICS)

    assert dict(answer.headers)["Content-Type"].startswith("application/openmetrics-text")
    [family] = openmetrics_families(answer.body.decode())
    assert family.samples[0].value == 42


@pytest.mark.parametrize("encoding", ["gzip", "deflate, gzip"])
def test_a_scrape_is_compressed_where_that_is_understood(encoding: str) -> None:
    answer = scraped(Accept_Encoding=encoding)

    assert dict(answer.headers)["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.body) == scraped().body


def test_a_scrape_is_plain_where_compression_is_not_understood() -> None:
    assert "Content-Encoding" not in dict(scraped(Accept_Encoding="br").headers)


@pytest.mark.parametrize("path", ["metrics", "", "/metrics?x", "/healthz", "/readyz"])
def test_an_unfit_path_is_refused_by_its_flag(path: str) -> None:
    with pytest.raises(UsageError, match=r"^--metrics-path "):
        metrics_pages(path, CollectorRegistry())
