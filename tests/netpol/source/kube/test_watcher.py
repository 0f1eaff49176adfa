"""One kind followed: what the server has and what happens to it is in the bus, whatever way it comes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from api_server import ApiServer, Opening, status
from api_store import Age
from builders import namespace, pod
from following import Following, manifest

from netpol.model.facts import Kind
from netpol.model.objects import Namespace, Pod
from netpol.source.kube.watcher import Pace
from netpol.source.objects import NAME_LABEL

A, B, C = pod("x/a", "10.0.0.1"), pod("x/b", "10.0.0.2"), pod("y/c", "10.0.0.3")


@pytest.fixture(name="server")
def _server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


def test_what_was_there_and_what_happens(server: ApiServer) -> None:
    server.store.put(manifest(A))
    with Following(server) as pods:
        pods.until_it_has("x/a")
        server.wait_for_watch("pods")
        server.store.put(manifest(B))
        pods.until_it_has("x/a", "x/b")
        server.store.put(manifest(pod("x/b", "10.0.0.9")))
        pods.until(lambda: pods.value("x/b") == pod("x/b", "10.0.0.9"))
        server.store.delete("Pod", "x", "a")
        pods.until_it_has("x/b")
        assert server.times_asked("list", "pods") == 1
        assert pods.gauge("objects") == 1
        assert pods.gauge("watch_connected") == 1


def test_a_kind_is_in_sync_once_its_list_is_complete(server: ApiServer) -> None:
    names = [f"x/p{n}" for n in range(5)]
    server.store.load([manifest(pod(name, f"10.0.1.{n}")) for n, name in enumerate(names)])
    with Following(server, pace=Pace(page_limit=2)) as pods:
        pods.until_it_has(*names)
        assert server.times_asked("list", "pods") == 1
        assert server.times_asked("page", "pods") == 2
        assert server.asked[0].query == {"limit": "2"}


def test_an_empty_kind_is_in_sync(server: ApiServer) -> None:
    with Following(server) as pods:
        pods.until_it_has()


def test_a_list_that_expires_between_pages_comes_in_one(server: ApiServer) -> None:
    server.store.load([manifest(each) for each in (A, B, C)])
    server.fail("page", "pods", status(410, "expired"))
    with Following(server, pace=Pace(page_limit=2)) as pods:
        pods.until_it_has("x/a", "x/b", "y/c")
        assert [asked.query for asked in server.asked if asked.verb == "list"] == [{"limit": "2"}, {}]
        assert pods.failures("gone") == 1


def test_a_watch_is_asked_for_with_bookmarks_and_an_end(server: ApiServer) -> None:
    server.store.put(manifest(A))
    with Following(server):
        server.wait_for_watch("pods")
        watch = server.asked[-1]
        assert watch.query == {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": "2",
            "timeoutSeconds": "304",
        }


@pytest.mark.parametrize("how", ["end", "cut"])
def test_a_watch_goes_on_where_it_ended(server: ApiServer, how: str) -> None:
    server.store.put(manifest(A))
    with Following(server) as pods:
        server.wait_for_watch("pods")
        server.fail("watch", "pods", status(503, "wait"))
        (server.end if how == "end" else server.cut)("pods")
        server.wait_until(lambda: not server.store.followers("pods"))
        server.store.put(manifest(B))
        server.store.delete("Pod", "x", "a")
        pods.until_it_has("x/b")
        lists = [asked.query for asked in server.asked if asked.verb == "list"]
        assert lists[0] == {"limit": "500"}
        assert all(query == {"limit": "1"} for query in lists[1:]), "it was listed again"


def test_a_bookmark_is_where_the_watch_goes_on(server: ApiServer) -> None:
    server.store.put(manifest(A))
    with Following(server) as pods:
        server.wait_for_watch("pods")
        server.store.version = 90
        server.store.bookmark("pods")
        pods.until(
            lambda: pods.metrics.registry.get_sample_value(
                "netpol_watch_events_total", {"kind": "Pod", "type": "BOOKMARK"}
            )
        )
        server.end("pods")
        server.wait_until(lambda: server.times_asked("watch", "pods") == 2)
        assert server.asked[-1].query["resourceVersion"] == "90"


@pytest.mark.parametrize("where", ["status", "event"])
def test_an_expired_version_is_listed_anew(server: ApiServer, where: str) -> None:
    server.store.put(manifest(A))
    with Following(server) as pods:
        server.wait_for_watch("pods")
        if where == "status":
            server.fail("watch", "pods", status(410, "too old resource version"))
        server.end("pods")
        server.wait_until(lambda: not server.store.followers("pods") or server.times_asked("watch", "pods") > 1)
        server.store.load([manifest(B)])
        server.store.compact()
        server.end("pods")
        pods.until_it_has("x/a", "x/b")
        assert pods.failures("gone") >= 1


def test_a_server_restored_from_a_backup_is_listed_anew(server: ApiServer) -> None:
    """A watch from a version that it has yet to reach would be silent."""
    server.store.version = 1000
    server.store.load([manifest(A), manifest(B)])
    with Following(server) as pods:
        server.wait_for_watch("pods")
        server.store.restart_with(50, [manifest(B), manifest(C)])
        server.cut("pods")
        pods.until_it_has("x/b", "y/c")


def test_a_bookmark_of_the_past_needs_a_list(server: ApiServer) -> None:
    server.store.version = 1000
    server.store.load([manifest(A)])
    with Following(server) as pods:
        server.wait_for_watch("pods")
        server.store.restart_with(50, [manifest(B)])
        server.store.bookmark("pods", 50)
        pods.until_it_has("x/b")


def test_an_event_of_a_server_that_went_back_is_not_recorded(server: ApiServer) -> None:
    server.store.version = 1000
    server.store.load([manifest(A), manifest(B)])
    with Following(server) as pods:
        pods.until_it_has("x/a", "x/b")
        server.wait_for_watch("pods")
        server.fail("list", "pods", *[status(503, "not ready")] * 1000)
        server.store.restart_with(50, [manifest(B)])
        server.store.put(manifest(pod("x/a", "10.0.0.9")))
        pods.until(lambda: pods.failures("server-error") >= 2)
        pods.take()
        assert pods.value("x/a") == A


def test_a_late_deletion_of_the_former_object_of_that_name_removes_nothing(server: ApiServer) -> None:
    former, living = manifest(A), manifest(pod("x/a", "10.0.0.9"))
    former["metadata"] |= {"uid": "former", "resourceVersion": "1"}
    living["metadata"]["uid"] = "living"
    server.store.put(living)
    with Following(server) as pods:
        server.wait_for_watch("pods")
        server.say("pods", json.dumps({"type": "DELETED", "object": former}).encode() + b"\n")
        server.store.put(manifest(B))
        pods.until_it_has("x/a", "x/b")


def test_a_relist_of_what_is_known_is_no_news(server: ApiServer) -> None:
    server.store.load([manifest(A), manifest(B)])
    with Following(server) as pods:
        pods.until_it_has("x/a", "x/b")
        server.wait_for_watch("pods")
        heard = pods.facts
        server.fail("watch", "pods", status(410, "gone"))
        server.end("pods")
        server.wait_until(lambda: server.times_asked("watch", "pods") == 3)
        pods.take()
        assert pods.facts == heard


def test_a_large_event_comes_whole(server: ApiServer) -> None:
    with Following(server) as pods:
        server.wait_for_watch("pods")
        large = manifest(A)
        large["metadata"]["annotations"] = {"note": "x" * 1_500_000}
        server.store.put(large)
        pods.until_it_has("x/a")


def test_an_event_cut_in_the_middle_comes_again(server: ApiServer) -> None:
    with Following(server) as pods:
        server.wait_for_watch("pods")
        server.say("pods", b'{"type":"ADDED","object":{"metadata":{"name":"half","namesp')
        server.cut("pods")
        server.wait_until(lambda: server.times_asked("watch", "pods") == 2)
        server.store.put(manifest(A))
        pods.until_it_has("x/a")


def test_an_event_that_comes_byte_by_byte(server: ApiServer) -> None:
    thing = manifest(A)
    thing["metadata"]["resourceVersion"] = "77"
    event = {"type": "ADDED", "object": thing}
    with Following(server) as pods:
        server.wait_for_watch("pods")
        for byte in json.dumps(event).encode() + b"\n":
            server.say("pods", bytes([byte]))
        pods.until_it_has("x/a")


def test_garbage_is_asked_for_again_and_then_listed(server: ApiServer) -> None:
    server.store.put(manifest(A))
    server.fail("watch", "pods", Opening(b"}{ no event\n"), Opening(b"\x00\xff\n"))
    with Following(server) as pods:
        server.wait_until(lambda: server.times_asked("watch", "pods") == 3)
        assert server.times_asked("list", "pods") == 2
        assert pods.failures("garbled") == 2
        server.wait_for_watch("pods")
        server.store.put(manifest(B))
        pods.until_it_has("x/a", "x/b")


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"ADDED","object":{"metadata":{"name":"a","namespace":"x"}}}\n',
        b'{"type":"EXPLODED","object":{"metadata":{"name":"a","resourceVersion":"9"}}}\n',
        b'{"type":"ADDED","object":{"metadata":{"resourceVersion":"9"}}}\n',
    ],
)
def test_an_event_that_cannot_be_placed_is_garbage(server: ApiServer, line: bytes) -> None:
    server.fail("watch", "pods", Opening(line))
    with Following(server) as pods:
        server.wait_until(lambda: server.times_asked("watch", "pods") == 2)
        assert pods.failures("garbled") == 1


def test_a_terminating_namespace_is_one() -> None:
    with ApiServer(Age.OLD) as server, Following(server, Kind.NAMESPACE) as namespaces:
        ending = manifest(namespace("x", "team=red"))
        ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        server.store.put({**ending, "status": {"phase": "Terminating"}})
        namespaces.until_it_has("x")


def test_a_current_server_labels_namespaces_itself(server: ApiServer) -> None:
    with Following(server, Kind.NAMESPACE) as namespaces:
        server.store.put(manifest(namespace("x", "team=red")))
        namespaces.until_it_has("x")
        assert namespaces.value("x") == Namespace("x", {"team": "red", NAME_LABEL: "x"})


@pytest.mark.parametrize("synthesise", [False, True])
def test_an_old_servers_namespaces_are_labelled_where_asked_for(synthesise: bool) -> None:
    with (
        ApiServer(Age.OLD) as server,
        Following(server, Kind.NAMESPACE, synthesise_name_label=synthesise) as namespaces,
    ):
        server.store.put({"kind": "Namespace", "metadata": {"name": "x"}})
        namespaces.until_it_has("x")
        assert namespaces.value("x") == Namespace("x", {NAME_LABEL: "x"} if synthesise else {})


def test_an_old_servers_pods_have_one_address() -> None:
    both = pod("x/a", "10.0.0.1", "fd00::1")
    with ApiServer(Age.OLD) as server, Following(server) as pods:
        server.store.put(manifest(both))
        pods.until_it_has("x/a")
        value = pods.value("x/a")
        assert isinstance(value, Pod)
        assert value.addresses == both.addresses[:1]
