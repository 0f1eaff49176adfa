"""What the agent's HTTP paths answer."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, gzip_accepted

from netpol.errors import UsageError
from netpol.telemetry.health import Health, Report

HEALTHZ, READYZ = "/healthz", "/readyz"


class Answer(NamedTuple):
    """What a client gets."""

    status: HTTPStatus
    body: bytes
    headers: tuple[tuple[str, str], ...]


Header = Callable[[str, str], str]
"""The value of a request's header, or what is given for one it lacks."""

Page = Callable[[Header], Answer]
"""Answers a GET."""

Pages = Mapping[str, Page]
"""The paths of one server; any other is not found."""


def health_pages(health: Health) -> dict[str, Page]:
    """The probes' paths."""
    return {HEALTHZ: lambda _: _probed(health.liveness()), READYZ: lambda _: _probed(health.readiness())}


def metrics_pages(path: str, registry: CollectorRegistry) -> dict[str, Page]:
    """The path that is scraped; UsageError where it can be none."""
    if not path.startswith("/") or "?" in path:
        raise UsageError(f"--metrics-path {path}: a path starts with a slash and has no question mark")
    if path in (HEALTHZ, READYZ):
        raise UsageError(f"--metrics-path {path}: a probe is answered there")
    return {path: lambda header: _scraped(registry, header)}


def text_answer(status: HTTPStatus, text: str) -> Answer:
    """Plain text."""
    headers = (("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff"))
    return Answer(status, text.encode(errors="backslashreplace"), headers)


def _probed(report: Report) -> Answer:
    return text_answer(HTTPStatus.OK if report.is_good else HTTPStatus.SERVICE_UNAVAILABLE, report.text)


def _scraped(registry: CollectorRegistry, header: Header) -> Answer:
    """The metrics in the format that is asked for: Prometheus' text, or OpenMetrics."""
    encode, content_type = choose_encoder(header("Accept", ""))
    body: bytes = encode(registry)
    described = (("Content-Type", content_type), ("Vary", "Accept, Accept-Encoding"))
    if gzip_accepted(header("Accept-Encoding", "")):
        return Answer(HTTPStatus.OK, gzip.compress(body, compresslevel=1), (*described, ("Content-Encoding", "gzip")))
    return Answer(HTTPStatus.OK, body, described)
