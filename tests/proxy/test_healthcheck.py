"""Health check node ports: what load balancers are told, and what becomes of a port that is taken."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from live import Clock
from waiting import wait_until

from proxy.healthcheck import RETRY_SECONDS, HealthChecks
from proxy.services.served import HealthCheck

WEB, SHOP = ("shop", "web"), ("shop", "till")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def checks(clock: Clock) -> Iterator[HealthChecks]:
    checks = HealthChecks(clock)
    yield checks
    checks.stop()


@pytest.fixture
def port() -> int:
    """A port that is free at this moment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


def asked(port: int, path: str = "/healthz") -> tuple[int, object, dict[str, str]]:
    """The status, the body and the headers of the answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/", "/healthz", "/any/other?thing"])
def test_a_node_with_endpoints_is_healthy_on_every_path(checks: HealthChecks, port: int, path: str) -> None:
    checks.follow({WEB: HealthCheck(port, 2)})
    status, said, headers = asked(port, path)
    assert status == 200
    assert said == {
        "service": {"namespace": "shop", "name": "web"},
        "localEndpoints": 2,
        "serviceProxyHealthy": True,
    }
    assert headers["x-load-balancing-endpoint-weight"] == "2"
    assert headers["content-type"] == "application/json"


def test_a_node_without_endpoints_is_not_and_its_port_is_kept(checks: HealthChecks, port: int) -> None:
    checks.follow({WEB: HealthCheck(port, 1)})
    checks.follow({WEB: HealthCheck(port, 0)})
    status, said, headers = asked(port)
    assert (status, headers["x-load-balancing-endpoint-weight"]) == (503, "0")
    assert said == {"service": {"namespace": "shop", "name": "web"}, "localEndpoints": 0, "serviceProxyHealthy": True}


def test_a_port_that_no_service_has_is_closed(checks: HealthChecks, port: int) -> None:
    checks.follow({WEB: HealthCheck(port, 1)})
    checks.follow({})

    def is_closed() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) != 0

    wait_until(is_closed, "the port closes")
    assert checks.retry_wait_seconds() is None


def test_a_port_that_is_taken_is_told_once_and_tried_again(
    checks: HealthChecks, port: int, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", port))  # noqa: S104  whichever address, it is taken
        other.listen()
        checks.follow({WEB: HealthCheck(port, 1)})
        (record,) = caplog.records
        assert str(record.__dict__["netpol_fields"]["reason"]) == (
            f"health check node port {port}: another program listens there"
        )
        clock.now += RETRY_SECONDS
        checks.retry()
        assert len(caplog.records) == 1
        assert checks.retry_wait_seconds() == RETRY_SECONDS
    checks.retry()
    assert checks.retry_wait_seconds() == RETRY_SECONDS, "not before it is due"
    clock.now += RETRY_SECONDS
    checks.retry()
    assert checks.retry_wait_seconds() is None
    assert asked(port)[0] == 200


def test_each_service_has_its_own_answer(checks: HealthChecks, port: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        second = free.getsockname()[1]
    checks.follow({WEB: HealthCheck(port, 1), SHOP: HealthCheck(second, 0)})
    assert (asked(port)[0], asked(second)[0]) == (200, 503)
