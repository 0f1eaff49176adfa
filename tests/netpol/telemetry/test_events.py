"""Kubernetes Events: what they say, that they are posted once and slowly, and that no failure matters."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from waiting import wait_until

from netpol.model.facts import Key, Kind
from netpol.model.notices import Notice
from netpol.telemetry.events import (
    ATTEMPTS,
    LONGEST_MESSAGE,
    LONGEST_NAME,
    MOST_AT_ONCE,
    MOST_WAITING,
    REPEAT_SECONDS,
    RETRY_SECONDS,
    SECONDS_EACH,
    Allowance,
    Event,
    EventWriter,
)
from netpol.telemetry.metrics import Metrics

ALLOW = Key(Kind.NETWORK_POLICY, "web", "allow")
WEB = Key(Kind.NAMESPACE, "", "web")
PEER = Notice("NetworkPolicy", "web", "allow", "spec.ingress[0].from[1]", "no known peer")
NOW = datetime(2026, 11, 23, 10, 28, 36, 999, timezone(timedelta(hours=1)))


def numbered(number: int) -> Notice:
    return Notice("NetworkPolicy", "web", "allow", f"spec.ingress[{number}]", "no known peer")


class Clock:
    """A clock that is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Waits(threading.Event):
    """Lets the time pass at once, and keeps how long was waited; where one is the `last`, the agent stops in it."""

    last = False

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.waited: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        if timeout and not self.is_set():
            self.waited.append(timeout)
            self.clock.now += timeout
            if self.last:
                self.set()
        return self.is_set()


class Server:
    """Answers with the statuses it is given, then with 201; keeps what was posted."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers)
        self.posted: list[tuple[str, dict[str, Any]]] = []

    def post(self, path: str, body: Mapping[str, object]) -> int:
        self.posted.append((path, json.loads(json.dumps(body))))
        answer = self.answers.pop(0) if self.answers else 201
        if isinstance(answer, Exception):
            raise answer
        return answer


class Desk:
    """A writer whose server, clock and waiting are the test's."""

    def __init__(self, *answers: int | Exception) -> None:
        self.server = Server(*answers)
        self.clock = Clock()
        self.waits = Waits(self.clock)
        self.registry = CollectorRegistry()
        counter = Metrics(self.registry).events
        self.writer = EventWriter(self.server, "n1", counter, lambda: NOW, self.clock, self.waits)

    def tell(self, *notices: Notice, key: Key = ALLOW) -> None:
        """Offer the notices and run until all are dealt with."""
        for notice in notices:
            self.writer.offer(key, "u1", notice)
        self.writer._waiting.put_nowait(None)
        self.writer.run()

    def counted(self, outcome: str) -> float | None:
        return self.registry.get_sample_value("netpol_events_total", {"outcome": outcome})


def test_an_event_says_what_is_wrong_with_which_object() -> None:
    desk = Desk()
    desk.tell(PEER)

    [(path, event)] = desk.server.posted
    assert path == "/api/v1/namespaces/web/events"
    assert re.fullmatch(r"allow\.[0-9a-f]{16}", event["metadata"].pop("name"))
    assert event == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": "web"},
        "involvedObject": {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "namespace": "web",
            "name": "allow",
            "uid": "u1",
        },
        "type": "Warning",
        "reason": "InvalidNetworkPolicy",
        "message": "spec.ingress[0].from[1]: no known peer",
        "source": {"component": "netpol", "host": "n1"},
        "reportingComponent": "netpol",
        "reportingInstance": "n1",
        "firstTimestamp": "2026-11-23T09:28:36Z",
        "lastTimestamp": "2026-11-23T09:28:36Z",
        "count": 1,
    }
    assert desk.counted("posted") == 1


def test_an_event_on_a_namespace_is_kept_in_default() -> None:
    desk = Desk()
    desk.tell(Notice("Namespace", "", "web", "metadata.annotations", "no JSON"), key=WEB)

    [(path, event)] = desk.server.posted
    assert path == "/api/v1/namespaces/default/events"
    assert event["metadata"]["namespace"] == "default"
    assert event["involvedObject"] | {"uid": ""} == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "namespace": "",
        "name": "web",
        "uid": "",
    }
    assert event["reason"] == "InvalidAnnotation"


@pytest.mark.parametrize(
    ("kind", "api_version", "reason"),
    [
        (Kind.SERVICE, "v1", "InvalidService"),
        (Kind.ENDPOINT_SLICE, "discovery.k8s.io/v1", "InvalidEndpointSlice"),
        (Kind.POD, "v1", "NotUnderstood"),
    ],
)
def test_an_event_says_which_kind_is_invalid(kind: Kind, api_version: str, reason: str) -> None:
    event = Event.of(Key(kind, "web", "x"), "u1", Notice(kind.value, "web", "x", "spec", "no"))
    manifest = event.manifest("n1", NOW)
    assert manifest["reason"] == reason
    assert manifest["involvedObject"] == {
        "apiVersion": api_version,
        "kind": kind.value,
        "namespace": "web",
        "name": "x",
        "uid": "u1",
    }


@pytest.mark.parametrize(
    ("key", "uid", "notice"),
    [
        (Key(Kind.NETWORK_POLICY, "web", "other"), "u1", PEER),
        (Key(Kind.NETWORK_POLICY, "we", "ballow"), "u1", PEER),
        (Key(Kind.POD, "web", "allow"), "u1", PEER),
        (ALLOW, "u2", PEER),
        (ALLOW, "u1", numbered(1)),
    ],
)
def test_other_words_or_another_object_are_another_event(key: Key, uid: str, notice: Notice) -> None:
    assert Event.of(key, uid, notice).name != Event.of(ALLOW, "u1", PEER).name


def test_the_agents_of_all_nodes_mean_the_same_event() -> None:
    first, second = Desk(), Desk(409)
    for desk in (first, second):
        desk.tell(PEER)

    assert first.server.posted[0][1]["metadata"] == second.server.posted[0][1]["metadata"]
    assert second.counted("exists") == 1


def test_the_name_of_an_event_is_one_that_a_server_takes() -> None:
    name = Event.of(Key(Kind.NETWORK_POLICY, "web", "a" * 235 + ".b-" + "c" * 15), "u1", PEER).name

    assert len(name) <= LONGEST_NAME
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", name)


@pytest.mark.parametrize("letter", ["x", "é", "€", "😀"])
def test_a_message_is_cut_between_characters(letter: str) -> None:
    message = Event.of(ALLOW, "u1", Notice("NetworkPolicy", "web", "allow", "spec", letter * 2000)).message

    assert LONGEST_MESSAGE - 4 <= len(message.encode()) <= LONGEST_MESSAGE
    assert message.endswith(f"{letter}...")


def test_a_message_that_fits_is_whole() -> None:
    words = "x" * (LONGEST_MESSAGE - len("spec: "))

    assert Event.of(ALLOW, "u1", Notice("NetworkPolicy", "web", "allow", "spec", words)).message == f"spec: {words}"


def test_the_same_is_said_once_an_hour() -> None:
    desk = Desk()
    desk.tell(PEER, PEER)
    desk.clock.now += REPEAT_SECONDS - 1
    desk.tell(PEER)
    assert (len(desk.server.posted), desk.counted("repeated")) == (1, 2)

    desk.clock.now += 2
    desk.tell(PEER)

    assert len(desk.server.posted) == 2


def test_some_go_at_once_and_the_others_slowly() -> None:
    desk = Desk()
    desk.tell(*map(numbered, range(MOST_AT_ONCE + 3)))

    assert len(desk.server.posted) == MOST_AT_ONCE + 3
    assert desk.waits.waited == [SECONDS_EACH] * 3


def test_an_allowance_is_not_saved_up_beyond_its_measure() -> None:
    clock = Clock()
    allowance = Allowance(clock)
    clock.now += 1000 * SECONDS_EACH

    assert [allowance.take() for _ in range(MOST_AT_ONCE + 2)] == [0.0] * MOST_AT_ONCE + [
        SECONDS_EACH,
        2 * SECONDS_EACH,
    ]


@pytest.mark.parametrize("trouble", [429, 500, 503, ConnectionRefusedError("no"), RuntimeError("a library's own")])
def test_a_passing_trouble_is_waited_out(trouble: int | Exception) -> None:
    desk = Desk(trouble, trouble)
    desk.tell(PEER)

    assert len(desk.server.posted) == 3
    assert desk.waits.waited == [RETRY_SECONDS, 2 * RETRY_SECONDS]
    assert desk.counted("posted") == 1


def test_a_lasting_trouble_ends_the_event_and_not_the_next(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(*[503] * ATTEMPTS)
    desk.tell(PEER, numbered(7))

    assert (desk.counted("failed"), desk.counted("posted")) == (1, 1)
    assert len(caplog.records) == 1


def test_a_refusal_is_logged_once_until_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(403, 403, 201, 403)
    desk.tell(*map(numbered, range(4)))

    assert (desk.counted("refused"), desk.counted("posted")) == (3, 1)
    assert desk.waits.waited == []
    assert [record.__dict__["netpol_fields"] for record in caplog.records] == [
        {"object": ALLOW, "reason": "HTTP status 403"}
    ] * 2


def test_what_was_refused_may_be_said_again() -> None:
    desk = Desk(403)
    desk.tell(PEER, PEER)

    assert (desk.counted("refused"), desk.counted("posted")) == (1, 1)


def test_too_many_waiting_are_given_up_and_counted() -> None:
    desk = Desk()
    for number in range(MOST_WAITING + 5):
        desk.writer.offer(ALLOW, "u1", numbered(number))

    assert desk.counted("crowded_out") == 5


def test_a_stopped_writer_posts_nothing() -> None:
    desk = Desk()
    desk.writer.offer(ALLOW, "u1", PEER)
    desk.writer.stop()
    desk.writer.run()

    assert desk.server.posted == []


def test_a_writer_stops_while_it_may_not_post_yet() -> None:
    desk = Desk()
    desk.waits.last = True
    desk.tell(*map(numbered, range(MOST_AT_ONCE + 1)))

    assert len(desk.server.posted) == MOST_AT_ONCE


@pytest.mark.parametrize("answer", [503, 201])
def test_a_writer_stops_wherever_it_waits(answer: int) -> None:
    clock, stopping, server = Clock(), threading.Event(), Server(answer)
    writer = EventWriter(server, "n1", Metrics().events, lambda: NOW, clock, stopping)
    writer.start()
    writer.offer(ALLOW, "u1", PEER)
    wait_until(lambda: len(server.posted) == 1)

    writer.stop()

    writer._thread.join(10)
    assert not writer._thread.is_alive()
    assert len(server.posted) == 1


def test_the_clock_of_the_wall_may_be_in_any_zone() -> None:
    utc = Event.of(ALLOW, "u1", PEER).manifest("n1", NOW.astimezone(UTC))

    assert utc == Event.of(ALLOW, "u1", PEER).manifest("n1", NOW)
