"""The HTTP servers, over real connections of the loopback."""

from __future__ import annotations

import errno
import http.client
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http import HTTPStatus
from socketserver import TCPServer

import pytest
from waiting import wait_until

from netpol.errors import NetpolError, UsageError
from netpol.settings import Listener
from netpol.telemetry.health import Health
from netpol.telemetry.http import MOST_CONNECTIONS, HttpServer, TelemetryServers
from netpol.telemetry.metrics import Metrics
from netpol.telemetry.pages import Answer, Header, text_answer

ANY = Listener(0, "127.0.0.1")


def fine(_: Header) -> Answer:
    return text_answer(HTTPStatus.OK, "fine\n")


def broken(_: Header) -> Answer:
    raise ZeroDivisionError("in a page")


PAGES = {"/fine": fine, "/broken": broken}


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer("--health-port", ANY, PAGES) as server:
        yield server


def ask(port: int, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read(), dict(response.getheaders())
    finally:
        connection.close()


def is_closed(client: socket.socket) -> bool:
    """True once the other side has ended the connection; waits for it for as long as the client's time-out."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_page_is_answered_and_the_connection_closed(server: HttpServer) -> None:
    status, body, headers = ask(server.port, "/fine")

    assert (status, body) == (200, b"fine\n")
    assert headers["Content-Length"] == "5"
    assert headers["Server"] == "netpol"


def test_a_query_is_no_part_of_the_path(server: HttpServer) -> None:
    assert ask(server.port, "/fine?verbose=1")[0] == 200


@pytest.mark.parametrize("path", ["/", "/other", "/fine/", "/fine/../fine", "//fine/x"])
def test_another_path_is_not_found(server: HttpServer, path: str) -> None:
    assert ask(server.port, path)[0] == 404


def test_head_is_get_without_the_page(server: HttpServer) -> None:
    status, body, headers = ask(server.port, "/fine", "HEAD")

    assert (status, body, headers["Content-Length"]) == (200, b"", "5")


def test_another_method_is_not_implemented(server: HttpServer) -> None:
    assert ask(server.port, "/fine", "POST")[0] == 501


def test_a_page_that_fails_is_told_and_ends_that_answer_alone(
    server: HttpServer, caplog: pytest.LogCaptureFixture
) -> None:
    assert ask(server.port, "/broken")[:2] == (500, b"failed\n")
    assert ask(server.port, "/fine")[0] == 200

    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.__dict__["netpol_fields"]["path"] == "/broken"


def test_requests_are_not_logged(
    server: HttpServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    ask(server.port, "/fine")
    ask(server.port, "/other")
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.sendall(b"\x16\x03\x01 no HTTP\r\n\r\n")
        client.recv(100)

    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_a_client_that_leaves_early_is_no_news(server: HttpServer, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port), 10) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.sendall(b"GET /fine HTTP/1.1\r\n\r\n")
    assert ask(server.port, "/fine")[0] == 200

    assert capfd.readouterr() == ("", "")


def test_a_silent_client_keeps_nobody_waiting_and_is_closed_in_time() -> None:
    with (
        HttpServer("--health-port", ANY, PAGES, patience_seconds=0.5) as server,
        socket.create_connection(("127.0.0.1", server.port), 10) as silent,
    ):
        assert ask(server.port, "/fine")[0] == 200
        assert is_closed(silent)


def test_a_client_that_dribbles_is_closed_in_time() -> None:
    with (
        HttpServer("--health-port", ANY, PAGES, patience_seconds=0.5) as server,
        socket.create_connection(("127.0.0.1", server.port), 10) as slow,
    ):

        def refused() -> bool:
            try:
                slow.sendall(b"X")
            except OSError:
                return True
            return False

        wait_until(refused)


def test_a_client_that_does_not_read_is_closed_in_time() -> None:
    def endless(_: Header) -> Answer:
        return Answer(HTTPStatus.OK, bytes(50_000_000), ())

    with (
        HttpServer("--health-port", ANY, {"/endless": endless}, patience_seconds=0.5) as server,
        socket.create_connection(("127.0.0.1", server.port), 10) as deaf,
    ):
        deaf.sendall(b"GET /endless HTTP/1.1\r\n\r\n")
        wait_until(lambda: _answered(deaf) and not server._server._deadlines)


def _answered(client: socket.socket) -> bool:
    """True once something came."""
    client.setblocking(False)
    try:
        return bool(client.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


def test_too_many_connections_cost_the_oldest(server: HttpServer) -> None:
    with ExitStack() as stack:
        crowd = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 10))
            for _ in range(MOST_CONNECTIONS + 5)
        ]
        assert ask(server.port, "/fine")[0] == 200
        assert all(map(is_closed, crowd[:5]))
        crowd[-1].sendall(b"GET /fine HTTP/1.0\r\n\r\n")
        assert crowd[-1].recv(12) == b"HTTP/1.0 200"


def test_a_connection_that_cannot_be_accepted_waits_without_a_spinning_server(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[float] = []

    def without_descriptors(_: TCPServer) -> tuple[socket.socket, object]:
        attempts.append(time.monotonic())
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(TCPServer, "get_request", without_descriptors)
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.sendall(b"GET /fine HTTP/1.0\r\n\r\n")
        wait_until(lambda: len(attempts) == 3)
        monkeypatch.undo()

        assert client.recv(12) == b"HTTP/1.0 200"
    assert attempts[2] - attempts[0] > 0.1


def test_a_stopped_server_listens_no_more_and_closes_what_is_open() -> None:
    server = HttpServer("--health-port", ANY, PAGES)
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        wait_until(lambda: bool(server._server._deadlines))
        server.stop()
        server.stop()

        assert is_closed(client)
    with pytest.raises(ConnectionRefusedError):
        ask(server.port, "/fine")
    HttpServer("--health-port", Listener(server.port, "127.0.0.1"), PAGES).stop()


def test_a_port_in_use_is_one_clear_line(server: HttpServer) -> None:
    with pytest.raises(NetpolError) as caught:
        HttpServer("--metrics-port", Listener(server.port, "127.0.0.1"), PAGES)

    assert str(caught.value) == f"--metrics-port {server.port}: another program listens there"


def test_an_address_of_another_host_is_one_clear_line() -> None:
    with pytest.raises(NetpolError, match=r"^--metrics-port 0: Cannot assign requested address$"):
        HttpServer("--metrics-port", Listener(0, "192.0.2.1"), PAGES)


def test_a_name_is_no_address() -> None:
    with pytest.raises(UsageError, match=r"^--health-port: node-1 is no IP address$"):
        HttpServer("--health-port", Listener(0, "node-1"), PAGES)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        pytest.param("::1", marks=pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this host has no IPv6")),
    ],
)
def test_without_an_address_both_families_are_served(host: str) -> None:
    with HttpServer("--health-port", Listener(0), PAGES) as server:
        assert ask(server.port, "/fine", host=host)[0] == 200


@pytest.mark.parametrize("has_ipv6", [False, True])
def test_without_ipv6_the_other_family_is_served(monkeypatch: pytest.MonkeyPatch, has_ipv6: bool) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: has_ipv6 and socket.has_ipv6)
    with HttpServer("--health-port", Listener(0), PAGES) as server:
        assert ask(server.port, "/fine")[0] == 200


def health() -> Health:
    return Health(lambda: 0.0, 60)


def port_of(server: HttpServer | None) -> int:
    assert server is not None
    return server.port


def test_metrics_and_probes_are_served_where_they_are_asked_for() -> None:
    servers = TelemetryServers(Metrics(), health(), ANY, "/numbers", ANY)
    try:
        metrics_port, health_port = port_of(servers.metrics_server), port_of(servers.health_server)
        assert b"netpol_build_info" in ask(metrics_port, "/numbers")[1]
        assert ask(metrics_port, "/healthz")[:2] == ask(health_port, "/healthz")[:2] == (200, b"ok\n")
        assert ask(metrics_port, "/readyz")[0] == ask(health_port, "/readyz")[0] == 503
        assert ask(health_port, "/numbers")[0] == ask(metrics_port, "/metrics")[0] == 404
    finally:
        servers.stop()
    with pytest.raises(ConnectionRefusedError):
        ask(metrics_port, "/healthz")


def test_what_has_no_listener_is_served_nowhere() -> None:
    servers = TelemetryServers(Metrics(), health(), None, "/metrics", None)

    assert (servers.metrics_server, servers.health_server) == (None, None)
    servers.stop()


def test_where_one_port_is_taken_neither_is_served(server: HttpServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    with pytest.raises(NetpolError, match="--health-port"):
        TelemetryServers(
            Metrics(), health(), Listener(port, "127.0.0.1"), "/metrics", Listener(server.port, "127.0.0.1")
        )

    with pytest.raises(ConnectionRefusedError):
        ask(port, "/healthz")
