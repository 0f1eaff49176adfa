"""Requests that fail say why; credentials are read anew; a close ends every read."""

from __future__ import annotations

import socket
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import pytest
import urllib3.util.connection
import yaml
from api_server import Answer, ApiServer, Opening, Silence, status
from self_signed import self_signed

from netpol.settings import ApiSource
from netpol.source.kube.connection import ApiConnection, connect, end
from netpol.source.kube.failures import ApiFailure, Reason
from netpol.source.kube.requests import Request

PODS = Request("list", "pods", "/api/v1/pods", (("limit", "500"),))


def kubeconfig(path: Path, url: str, user: dict[str, Any] | None = None, authority: str = "") -> ApiSource:
    """Options that lead to a kubeconfig at `path`, written with this server and this user."""
    cluster = {"server": url} | ({"certificate-authority": authority} if authority else {})
    config = {
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "there", "user": "me"}}],
        "clusters": [{"name": "there", "cluster": cluster}],
        "users": [{"name": "me", "user": user or {}}],
    }
    path.write_text(yaml.safe_dump(config))
    return ApiSource(path)


def to(server: ApiServer) -> ApiConnection:
    return connect(ApiSource(master=server.url))


def failure_of(connection: ApiConnection, request: Request = PODS) -> ApiFailure:
    with connection, pytest.raises(ApiFailure) as raised:
        connection.get(request)
    return raised.value


def test_a_read_brings_the_whole_answer() -> None:
    with ApiServer() as server, to(server) as connection:
        assert (
            connection.get(PODS)
            == b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}'
        )
        assert connection.version() == "v1.34.0"
        assert server.asked[0].query == {"limit": "500"}


def test_an_event_is_posted() -> None:
    with ApiServer() as server, to(server) as connection:
        connection.post("/api/v1/namespaces/x/events", {"kind": "Event", "reason": "NotUnderstood"})
        assert server.posted == [{"kind": "Event", "reason": "NotUnderstood"}]


def test_a_post_that_is_refused_fails() -> None:
    with ApiServer() as server, to(server) as connection:
        server.fail("list", "events", status(403, "no"))
        with pytest.raises(ApiFailure, match="may not create events"):
            connection.post("/api/v1/namespaces/x/events", {"kind": "Event"})


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        failure = failure_of(connect(ApiSource(master=f"http://127.0.0.1:{taken.getsockname()[1]}")))
    assert failure.reason is Reason.UNREACHABLE
    assert str(failure).endswith("cannot be reached: Connection refused")


def test_a_name_that_leads_nowhere() -> None:
    failure = failure_of(connect(ApiSource(master="http://no-such-host.invalid:6443")))
    assert failure.reason is Reason.UNREACHABLE
    assert "no-such-host.invalid" in str(failure)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (status(403, "no"), Reason.FORBIDDEN),
        (status(404, "no"), Reason.NOT_SERVED),
        (status(500, "no"), Reason.SERVER_ERROR),
        (Answer(200, b"half", announced=100), Reason.CUT),
    ],
)
def test_refusals(answer: Answer, reason: Reason) -> None:
    with ApiServer() as server:
        server.fail("list", "pods", answer)
        assert failure_of(to(server)).reason is reason


def test_a_certificate_of_nobody_known(tmp_path: Path) -> None:
    with ApiServer(certificate=self_signed(tmp_path)) as server:
        failure = failure_of(connect(ApiSource(master=server.url)))
    assert failure.reason is Reason.TLS
    assert "certificate" in str(failure)
    assert "\n" not in str(failure)


def test_a_certificate_that_the_kubeconfig_knows(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    with ApiServer(certificate=certificate) as server:
        options = kubeconfig(tmp_path / "config", server.url, authority=certificate.name)
        with connect(options) as connection:
            assert connection.version() == "v1.34.0"


def test_plain_http_where_tls_is_spoken(tmp_path: Path) -> None:
    with ApiServer(certificate=self_signed(tmp_path)) as server:
        failure = failure_of(connect(ApiSource(master=server.url.replace("https", "http"))))
    assert failure.reason in (Reason.CUT, Reason.REFUSED)


def test_a_server_that_is_none() -> None:
    with ApiServer() as server, to(server) as connection:
        server.fail("list", "version", Answer(200, b"<html>"))
        with pytest.raises(ApiFailure, match="no API server"):
            connection.version()


def test_a_token_file_is_read_at_every_request(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    with ApiServer(tokens={"first"}) as server:
        options = kubeconfig(tmp_path / "config", server.url, {"tokenFile": "token", "token": "stale"})
        with connect(options) as connection:
            connection.get(PODS)
            server.tokens = {"second"}
            token.write_text("second\n")
            connection.get(PODS)
            assert [asked.authorization for asked in server.asked] == ["Bearer first", "Bearer second"]


def test_a_token_file_that_is_away_for_a_moment_changes_nothing(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    with (
        ApiServer(tokens={"first"}) as server,
        connect(kubeconfig(tmp_path / "config", server.url, {"tokenFile": str(token)})) as connection,
    ):
        token.unlink()
        connection.get(PODS)
        assert server.asked[0].authorization == "Bearer first"


def test_a_kubeconfig_is_read_again_when_its_token_is_refused(tmp_path: Path) -> None:
    with ApiServer(tokens={"first"}) as server:
        options = kubeconfig(tmp_path / "config", server.url, {"token": "first"})
        with connect(options) as connection:
            connection.get(PODS)
            server.tokens = {"second"}
            kubeconfig(tmp_path / "config", server.url, {"token": "second"})
            connection.get(PODS)
            assert [asked.authorization for asked in server.asked] == [
                f"Bearer {t}" for t in ("first", "first", "second")
            ]


def test_credentials_that_stay_refused(tmp_path: Path) -> None:
    with ApiServer(tokens={"other"}) as server:
        failure = failure_of(connect(kubeconfig(tmp_path / "config", server.url, {"token": "mine"})))
        assert failure.reason is Reason.UNAUTHORIZED
        assert "does not accept the credentials to list pods" in str(failure)
        assert len(server.asked) == 2


def test_a_plugin_that_fails_is_asked_again_and_no_request_is_nobodys(tmp_path: Path) -> None:
    program, version = tmp_path / "plugin", "client.authentication.k8s.io/v1"
    user: dict[str, Any] = {"exec": {"apiVersion": version, "command": str(program)}}
    with ApiServer() as server, connect(kubeconfig(tmp_path / "config", server.url, user)) as connection:
        with pytest.raises(ApiFailure, match=r"plugin gives no credentials: .*No such file") as raised:
            connection.get(PODS)
        assert raised.value.reason is Reason.UNAUTHORIZED
        assert not server.asked
        answer = f'{{"apiVersion":"{version}","kind":"ExecCredential","status":{{"token":"given"}}}}'
        program.write_text(f"#!/bin/sh\necho '{answer}'\n")
        program.chmod(0o755)
        with pytest.raises(ApiFailure, match="gives no credentials"):
            connection.get(PODS)
        connection.get(PODS)
        assert [asked.authorization for asked in server.asked] == ["Bearer given"]


def test_a_token_that_no_header_carries_is_not_told(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("good")
    with ApiServer() as server:
        connection = connect(kubeconfig(tmp_path / "config", server.url, {"tokenFile": "token"}))
        token.write_text("SECRET\nSECRET")
        failure = failure_of(connection)
    assert failure.reason is Reason.UNAUTHORIZED
    assert "SECRET" not in str(failure)


def test_words_of_an_error_that_nobody_expects_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("Invalid header value b'Bearer SECRET'")

    with ApiServer() as server, to(server) as connection:
        monkeypatch.setattr("kubernetes.client.api_client.ApiClient.call_api", broken)
        failure = failure_of(connection)
    assert failure.reason is Reason.BUG
    assert "ValueError in " in str(failure)
    assert "SECRET" not in "".join(traceback.format_exception(failure))


def test_credentials_of_the_url_are_sent_and_not_told() -> None:
    with ApiServer() as server:
        with connect(ApiSource(master=server.url.replace("//", "//me:SECRET@"))) as connection:
            connection.get(PODS)
            assert connection.server == server.url
        assert server.asked[0].authorization.startswith("Basic ")


def test_a_kubeconfig_that_is_gone_meanwhile(tmp_path: Path) -> None:
    with ApiServer(tokens={"first"}) as server:
        options = kubeconfig(tmp_path / "config", server.url, {"token": "first"})
        with connect(options) as connection:
            server.tokens = {"second"}
            (tmp_path / "config").unlink()
            with pytest.raises(ApiFailure, match="credentials"):
                connection.get(PODS)


@pytest.mark.parametrize("when", ["before the answer", "in the answer"])
def test_a_close_ends_a_read_of_another_thread(when: str) -> None:
    silence = Silence()
    watch = Request("watch", "pods", "/api/v1/pods", (("watch", "true"), ("resourceVersion", "1")))
    with ApiServer() as server:
        connection = to(server)
        if when == "before the answer":
            server.fail("watch", "pods", silence)
        failures: list[ApiFailure] = []

        def read() -> None:
            try:
                with connection.watch(watch, 60, 60) as stream:
                    list(stream.chunks())
            except ApiFailure as failure:
                failures.append(failure)

        thread = threading.Thread(target=read)
        thread.start()
        server.wait_until(lambda: server.times_asked("watch", "pods"))
        started = time.monotonic()
        connection.close()
        thread.join(10)
        assert time.monotonic() - started < 1
        assert [failure.reason for failure in failures] == [Reason.CLOSED]
        with pytest.raises(ApiFailure, match="closed"):
            connection.get(PODS)


def test_a_watch_left_early_leaves_no_connection_behind() -> None:
    watch = Request("watch", "pods", "/api/v1/pods", (("watch", "true"), ("resourceVersion", "1")))
    with ApiServer() as server, to(server) as connection:
        server.fail("watch", "pods", Opening(b"x\n", ends=False))
        with connection.watch(watch, 60, 60) as stream:
            assert next(stream.chunks()) == b"x\n"
        server.wait_until(lambda: not server.store.followers("pods"))


def test_a_socket_that_is_closed_already_is_no_matter() -> None:
    with socket.socket() as closed:
        pass
    one, other = socket.socketpair()
    with one, other:
        end([closed, one])
        assert other.recv(1) == b""


def test_a_connection_closed_while_it_is_opened_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with ApiServer() as server:
        server.fail("list", "pods", Silence())
        connection = to(server)
        connect_really = urllib3.util.connection.create_connection

        def close_meanwhile(*arguments: Any, **options: Any) -> socket.socket:
            opened = connect_really(*arguments, **options)
            connection.close()
            return opened

        monkeypatch.setattr(urllib3.util.connection, "create_connection", close_meanwhile)
        started = time.monotonic()
        assert failure_of(connection).reason is Reason.CLOSED
        assert time.monotonic() - started < 1
