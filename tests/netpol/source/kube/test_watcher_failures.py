"""Whatever fails, what is known stays, and is followed again with patience."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from api_server import Answer, ApiServer, Opening, Silence, status
from builders import namespace, node, pod
from following import Following, manifest

from netpol.model.facts import Kind
from netpol.source.kube.watcher import Pace

A, B, C = pod("x/a", "10.0.0.1"), pod("x/b", "10.0.0.2"), pod("y/c", "10.0.0.3")


@pytest.fixture(name="server")
def _server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


def test_waits_grow_while_it_fails(server: ApiServer) -> None:
    server.store.put(manifest(A))
    server.fail("list", "pods", *[status(500, "etcd is away")] * 9)
    with Following(server) as pods:
        pods.until_it_has("x/a")
        assert pods.waits[:9] == pytest.approx([0.15, 0.3, 0.6, 1.2, 2.4, 4.8, 9.6, 19.2, 22.5])
        assert pods.failures("server-error") == 9


def test_a_busy_server_may_ask_for_patience(server: ApiServer) -> None:
    server.fail("list", "pods", status(429, "too many requests", Retry_After="7"))
    with Following(server) as pods:
        pods.until_it_has()
        assert pods.waits[0] == pytest.approx(7.15)
        assert pods.failures("busy") == 1


def test_watches_that_end_at_once_are_no_loop(server: ApiServer) -> None:
    server.fail("watch", "pods", *[Opening()] * 8)
    with Following(server):
        server.wait_for_watch("pods")
        assert server.times_asked("list", "pods") == 1
        assert server.times_asked("watch", "pods") == 9


def test_each_watch_that_ended_at_once_costs_a_longer_wait(server: ApiServer) -> None:
    server.fail("watch", "pods", *[Opening()] * 5)
    with Following(server) as pods:
        server.wait_for_watch("pods")
        assert pods.waits == pytest.approx([0.15, 0.3, 0.6, 1.2, 2.4])


def test_a_watch_that_lived_makes_the_waits_short_again(server: ApiServer) -> None:
    server.fail("watch", "pods", *[Opening()] * 5)
    with Following(server) as pods:
        server.wait_for_watch("pods")
        pods.until(lambda: pods.gauge("watch_connected"))
        pods.now += 60
        pods.waits.clear()
        server.fail("watch", "pods", status(500, "once"))
        server.end("pods")
        server.wait_until(lambda: server.times_asked("watch", "pods") == 7)
        server.wait_for_watch("pods")
        assert pods.waits == pytest.approx([0.15])


ERROR_500 = Opening(b'{"type":"ERROR","object":{"kind":"Status","code":500,"message":"unable to decode an event"}}\n')


@pytest.mark.parametrize(
    ("fault", "reason", "watches"),
    [
        (status(400, "invalid resource version"), "refused", 1),
        (status(500, "internal error"), "server-error", 3),
        (ERROR_500, "server-error", 3),
    ],
)
def test_a_version_that_the_watch_is_refused_at_is_listed_anew(
    server: ApiServer, fault: Answer | Opening, reason: str, watches: int
) -> None:
    server.store.put(manifest(A))
    with Following(server) as pods:
        server.wait_for_watch("pods")
        server.store.put(manifest(B))
        pods.until_it_has("x/a", "x/b")
        server.fail("watch", "pods", *[fault] * 1000)
        server.end("pods")
        server.wait_until(lambda: server.times_asked("watch", "pods") == 2)
        server.store.put(manifest(C))
        pods.until_it_has("x/a", "x/b", "y/c")
        assert pods.failures(reason) >= watches


def test_a_busy_server_is_not_asked_for_lists(server: ApiServer) -> None:
    server.fail("watch", "pods", *[status(429, "too many requests")] * 6)
    with Following(server):
        server.wait_for_watch("pods")
        assert [asked.query for asked in server.asked if asked.verb == "list"].count({"limit": "500"}) == 1


def test_a_version_gone_in_a_long_outage_is_listed_anew_soon(server: ApiServer) -> None:
    server.store.put(manifest(A))
    with Following(server) as pods:
        pods.until_it_has("x/a")
        server.wait_for_watch("pods")
        server.fail("list", "pods", *[status(503, "away")] * 9)
        server.cut("pods")
        server.wait_until(lambda: not server.faults["list", "pods"])
        server.fail("watch", "pods", status(410, "too old"), status(410, "too old"))
        server.wait_until(lambda: server.times_asked("watch", "pods") == 4)
        server.wait_for_watch("pods")
        assert pods.waits[-3] > 10.0
        assert pods.waits[-2:] == pytest.approx([0.15, 0.3])


def test_a_server_to_which_every_version_is_gone_is_asked_for_ever_fewer_lists(server: ApiServer) -> None:
    server.fail("watch", "pods", *[status(410, "too old")] * 7)
    with Following(server) as pods:
        server.wait_for_watch("pods")
        assert pods.waits == pytest.approx([0.15, 0.3, 0.6, 1.2, 2.4, 4.8, 9.6])


def test_everything_known_stays_while_the_server_is_away() -> None:
    first = ApiServer()
    first.store.load([manifest(A), manifest(B)])
    with Following(first) as pods:
        pods.until_it_has("x/a", "x/b")
        first.close()
        pods.until(lambda: pods.failures("unreachable") >= 3)
        assert pods.has("x/a", "x/b")
        assert pods.gauge("watch_connected") == 0
        assert "cannot be reached: Connection refused" in pods.health.liveness().text
        with ApiServer(port=first.port) as second:
            second.store.load([manifest(each) for each in (A, B, C)])
            pods.until_it_has("x/a", "x/b", "y/c")
            second.wait_for_watch("pods")
            pods.until(lambda: pods.health.liveness().text == "ok\n")


def test_an_empty_list_is_believed_only_when_it_stays_empty(server: ApiServer) -> None:
    server.store.load([manifest(A), manifest(B)])
    with Following(server) as pods:
        pods.until_it_has("x/a", "x/b")
        server.wait_for_watch("pods")
        server.store.restart_with(1)
        began = pods.now
        server.cut("pods")
        pods.until(lambda: pods.failures("empty") >= 2)
        assert pods.values.keys() == {("x", "a"), ("x", "b")}
        pods.until_it_has()
        assert pods.now - began >= Pace().settle


def test_a_server_that_was_only_not_ready_changes_nothing(server: ApiServer) -> None:
    server.store.load([manifest(A), manifest(B)])
    empty = b'{"kind":"PodList","metadata":{"resourceVersion":"5"},"items":[]}'
    with Following(server) as pods:
        pods.until_it_has("x/a", "x/b")
        server.wait_for_watch("pods")
        heard = pods.facts
        server.fail("watch", "pods", status(410, "gone"))
        server.fail("list", "pods", Answer(200, empty), Answer(200, empty))
        server.end("pods")
        server.wait_until(lambda: server.times_asked("watch", "pods") == 3)
        pods.take()
        assert pods.failures("empty") == 2
        assert pods.facts == heard


@pytest.mark.parametrize("kind", [Kind.NAMESPACE, Kind.NODE])
def test_a_cluster_without_namespaces_or_nodes_is_none(server: ApiServer, kind: Kind) -> None:
    thing = namespace("x") if kind is Kind.NAMESPACE else node("x")
    server.store.load([manifest(thing)])
    with Following(server, kind) as things:
        things.until_it_has("x")
        server.wait_for_watch(f"{kind.value.lower()}s")
        server.store.restart_with(1)
        server.cut()
        things.until(lambda: things.now > 10 * Pace().settle)
        assert things.has("x")
        assert "is not believed: 1 were known" in things.health.liveness().text


@pytest.mark.parametrize("kind", [Kind.NAMESPACE, Kind.NODE])
def test_it_is_not_in_sync_before_there_is_one(server: ApiServer, kind: Kind) -> None:
    with Following(server, kind) as things:
        things.until(lambda: things.failures("empty") >= 3)
        assert not things.bus.in_sync([kind])
        server.store.put(manifest(namespace("x") if kind is Kind.NAMESPACE else node("x")))
        things.until_it_has("x")


def test_a_list_that_loses_most_is_told_of(server: ApiServer, caplog: pytest.LogCaptureFixture) -> None:
    server.store.load([manifest(each) for each in (A, B, C)])
    with caplog.at_level("INFO"), Following(server) as pods:
        pods.until_it_has("x/a", "x/b", "y/c")
        server.wait_for_watch("pods")
        assert "more than half" not in caplog.text
        server.store.restart_with(1, [manifest(A)])
        server.cut("pods")
        pods.until_it_has("x/a")
        assert "more than half of the objects are gone" in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        b'{"kind":"PodList","metadata":{"resourceVersion":"5"},"items":[{"meta',
        b'{"kind":"PodList","metadata":{"resourceVersion":"5"}}',
        b'{"kind":"Status","status":"Success"}',
        b"<html>the proxy's own page</html>",
    ],
)
def test_an_answer_that_is_no_list_is_no_empty_list(server: ApiServer, body: bytes) -> None:
    server.store.put(manifest(A))
    server.fail("list", "pods", Answer(200, body))
    with Following(server) as pods:
        pods.until_it_has("x/a")
        assert pods.failures("garbled") == 1
        assert pods.facts == 1


def test_a_list_cut_short_is_asked_for_again(server: ApiServer) -> None:
    server.store.put(manifest(A))
    server.fail("list", "pods", Answer(200, b'{"kind":"PodList","metad', announced=5000))
    with Following(server) as pods:
        pods.until_it_has("x/a")
        assert pods.failures("cut") == 1


def test_a_silent_watch_is_given_up(server: ApiServer) -> None:
    server.store.put(manifest(A))
    silence = Silence()
    server.fail("watch", "pods", silence)
    with Following(server, pace=Pace(watch=1.0, margin=-0.8)) as pods:
        pods.until(lambda: pods.failures("silent") >= 1)
        silence.set()
        server.store.put(manifest(B))
        pods.until_it_has("x/a", "x/b")


def test_a_watch_that_drips_beyond_its_end_is_given_up(server: ApiServer) -> None:
    with Following(server) as pods:
        server.wait_for_watch("pods")
        pods.until(lambda: pods.gauge("watch_connected"))
        pods.now += 400
        server.say("pods", b" ")
        pods.until(lambda: pods.failures("silent") == 1)


def test_a_missing_right_is_named_once(server: ApiServer, caplog: pytest.LogCaptureFixture) -> None:
    refusal = status(403, 'pods is forbidden: User "agent" cannot list resource "pods"')
    server.fail("list", "pods", *[refusal] * 5)
    with caplog.at_level("WARNING"), Following(server) as pods:
        pods.until_it_has()
        assert pods.failures("forbidden") == 5
    assert caplog.text.count("the watch failed") == 1


def test_a_missing_right_is_in_the_report_of_health(server: ApiServer) -> None:
    server.fail("watch", "pods", *[status(403, "forbidden")] * 1000)
    with Following(server) as pods:
        pods.until(lambda: pods.failures("forbidden") >= 1)
        assert "this account may not watch pods (its role lacks the verb watch)" in pods.health.liveness().text


@pytest.mark.parametrize(("verb", "is_silent"), [("watch", False), ("watch", True), ("list", True)])
def test_a_stop_ends_a_read_at_once(server: ApiServer, verb: str, is_silent: bool) -> None:
    if is_silent:
        server.fail(verb, "pods", Silence())
    following = Following(server, waits_really=True)
    with following:
        server.wait_until(lambda: server.times_asked(verb, "pods") == 1)
        started = time.monotonic()
    assert time.monotonic() - started < 1
    assert not following.thread.is_alive()


def test_a_stop_ends_a_wait_at_once(server: ApiServer) -> None:
    server.fail("list", "pods", status(429, "busy", Retry_After="60"))
    with Following(server, waits_really=True) as pods:
        pods.until(lambda: pods.failures("busy") == 1)
        started = time.monotonic()
    assert time.monotonic() - started < 1
    assert not pods.thread.is_alive()


def test_a_bug_does_not_end_the_watch(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server.store.put(manifest(A))
    with Following(server) as pods:
        pods.until_it_has("x/a")
        server.wait_for_watch("pods")
        met = threading.Event()

        def broken(*_: object) -> bool:
            monkeypatch.undo()
            met.set()
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr(pods.bus, "record", broken)
        server.store.put(manifest(B))
        pods.until_it_has("x/a", "x/b")
        assert met.is_set()
        assert pods.failures("bug") == 1
    assert any("ZeroDivisionError: a bug" in str(vars(record)) for record in caplog.records)
