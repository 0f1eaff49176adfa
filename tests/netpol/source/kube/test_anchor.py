"""The server of this node, and others."""

from __future__ import annotations

import json

import pytest
from api_server import ApiServer, status
from builders import namespace, node, pod
from following import Following, manifest

from netpol.source.kube.anchor import Anchor
from netpol.source.kube.failures import ApiFailure, Reason
from netpol.source.kube.requests import Request


class Server:
    """A server that knows these nodes."""

    server = "https://api"

    def __init__(self, *nodes: str) -> None:
        listed = [{"metadata": {"name": name}} for name in nodes]
        self.body = json.dumps({"kind": "NodeList", "metadata": {"resourceVersion": "1"}, "items": listed}).encode()
        self.asked: list[Request] = []

    def get(self, request: Request) -> bytes:
        self.asked.append(request)
        return self.body


def test_the_server_that_knows_the_node_is_asked_for_it_alone() -> None:
    server = Server("n1")

    Anchor(server, "n1").require()

    (request,) = server.asked
    assert (request.verb, request.path) == ("list", "/api/v1/nodes")
    assert request.query == (("fieldSelector", "metadata.name=n1"),)


@pytest.mark.parametrize("nodes", [(), ("n2",)])
def test_a_server_without_the_node_is_not_believed(nodes: tuple[str, ...]) -> None:
    with pytest.raises(ApiFailure, match="https://api knows no node n1, so nothing that it lists is believed") as found:
        Anchor(Server(*nodes), "n1").require()

    assert found.value.reason is Reason.EMPTY


def test_an_answer_that_is_no_list_is_none() -> None:
    server = Server()
    server.body = b"{"

    with pytest.raises(ApiFailure) as found:
        Anchor(server, "n1").require()

    assert found.value.reason is Reason.GARBLED


def test_a_server_that_lost_its_memory_takes_nothing_away_until_it_knows_the_node_again() -> None:
    known = [manifest(thing) for thing in (namespace("x"), node("n1"), pod("x/a", "10.0.0.2"))]
    with ApiServer() as server:
        server.store.load(known)
        with Following(server, node="n1") as pods:
            pods.until_it_has("x/a")
            server.wait_for_watch("pods")
            server.store.restart_with(1, [manifest(namespace("default")), manifest(pod("y/b", "10.0.0.3"))])
            server.cut()
            pods.until(lambda: pods.failures("empty") >= 3)
            assert pods.has("x/a")

            server.store.put(known[1])

            pods.until_it_has("y/b")


def test_no_watch_goes_on_with_a_server_that_does_not_know_the_node() -> None:
    """Its version may be beyond the last one known, so that the watch would find nothing amiss."""
    known = [manifest(thing) for thing in (namespace("x"), node("n1"), pod("x/a", "10.0.0.2"))]
    with ApiServer() as server:
        server.store.load(known)
        with Following(server, node="n1") as pods:
            pods.until_it_has("x/a")
            server.wait_for_watch("pods")
            server.store.restart_with(1000, [manifest(pod("y/b", "10.0.0.3"))])
            server.end("pods")
            pods.until(lambda: pods.failures("empty") >= 3)
            server.store.put(manifest(pod("x/a", "10.0.0.9")))
            assert server.times_asked("watch", "pods") == 1
            assert pods.value("x/a") == pod("x/a", "10.0.0.2")

            server.store.put(known[1])

            pods.until_it_has("x/a", "y/b")


def test_a_watch_goes_on_where_it_ended_with_the_server_that_knows_the_node() -> None:
    with ApiServer() as server:
        server.store.load([manifest(node("n1")), manifest(pod("x/a", "10.0.0.2"))])
        with Following(server, node="n1") as pods:
            server.wait_for_watch("pods")
            server.fail("list", "nodes", status(503, "wait"))
            server.end("pods")
            server.wait_until(lambda: server.times_asked("watch", "pods") == 2)
            assert pods.failures("server-error") == 1
            lists = [asked.query for asked in server.asked if (asked.verb, asked.plural) == ("list", "pods")]
            assert lists == [{"limit": "500"}, {"limit": "1"}]


def test_nothing_is_in_sync_where_the_node_was_never_known() -> None:
    with ApiServer() as server:
        server.store.load([manifest(namespace("x")), manifest(node("n2"))])
        with Following(server, node="n1") as pods:
            pods.until(lambda: pods.failures("empty") >= 2)

            assert not pods.has()
            assert "knows no node n1" in pods.health.liveness().text
