"""The notice board: a notice is told once, counted while it lasts, and gone with its object."""

from __future__ import annotations

import threading

import pytest
from prometheus_client import CollectorRegistry

from netpol.model.facts import Key, Kind
from netpol.model.notices import Notice
from netpol.telemetry.metrics import Metrics
from netpol.telemetry.notices import NoticeBoard

ALLOW = Key(Kind.NETWORK_POLICY, "web", "allow")
WEB = Key(Kind.NAMESPACE, "", "web")
PEER = Notice("NetworkPolicy", "web", "allow", "spec.ingress[0].from[1]", "no known peer")
PORT = Notice("NetworkPolicy", "web", "allow", "spec.ingress[0].ports[0]", "no such port")
JSON = Notice("Namespace", "", "web", "metadata.annotations", "no JSON\nat all")


class Ear:
    """Keeps what it is offered."""

    def __init__(self) -> None:
        self.heard: list[tuple[Key, str, Notice]] = []

    def offer(self, key: Key, uid: str, notice: Notice) -> None:
        self.heard.append((key, uid, notice))


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def board(registry: CollectorRegistry, ear: Ear) -> NoticeBoard:
    return NoticeBoard(Metrics(registry), ear)


def counted(registry: CollectorRegistry, kind: Kind) -> float | None:
    return registry.get_sample_value("netpol_notices", {"kind": kind.value})


def test_a_new_notice_is_logged_by_object_field_and_reason(
    board: NoticeBoard, caplog: pytest.LogCaptureFixture
) -> None:
    board.put(ALLOW, "u1", (PEER,))

    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert record.__dict__["netpol_fields"] == {
        "object": ALLOW,
        "field": "spec.ingress[0].from[1]",
        "reason": "no known peer",
    }


def test_a_notice_is_told_once_while_it_lasts(board: NoticeBoard, ear: Ear, caplog: pytest.LogCaptureFixture) -> None:
    board.put(ALLOW, "u1", (PEER,))
    board.put(ALLOW, "u1", (PEER,))
    board.put(ALLOW, "u1", (PORT, PEER))

    assert ear.heard == [(ALLOW, "u1", PEER), (ALLOW, "u1", PORT)]
    assert len(caplog.records) == 2


def test_what_was_mended_and_broken_again_is_told_again(board: NoticeBoard, ear: Ear) -> None:
    board.put(ALLOW, "u1", (PEER,))
    board.put(ALLOW, "u1", ())
    board.put(ALLOW, "u1", (PEER,))

    assert len(ear.heard) == 2


def test_another_object_of_the_name_is_told_of(board: NoticeBoard, ear: Ear, registry: CollectorRegistry) -> None:
    board.put(ALLOW, "u1", (PEER,))
    board.put(ALLOW, "u2", (PEER,))

    assert [uid for _, uid, _ in ear.heard] == ["u1", "u2"]
    assert counted(registry, Kind.NETWORK_POLICY) == 1


def test_notices_are_counted_by_kind_while_they_last(board: NoticeBoard, registry: CollectorRegistry) -> None:
    assert counted(registry, Kind.NETWORK_POLICY) == 0

    board.put(ALLOW, "u1", (PEER, PORT))
    board.put(WEB, "u2", (JSON,))
    assert (counted(registry, Kind.NETWORK_POLICY), counted(registry, Kind.NAMESPACE)) == (2, 1)

    board.put(ALLOW, "u1", (PORT,))
    board.put(WEB, "", ())
    assert (counted(registry, Kind.NETWORK_POLICY), counted(registry, Kind.NAMESPACE)) == (1, 0)


def test_without_a_sink_the_log_is_told(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    NoticeBoard(Metrics(registry)).put(WEB, "u1", (JSON,))

    assert len(caplog.records) == 1


def test_many_threads_may_put(board: NoticeBoard, registry: CollectorRegistry, ear: Ear) -> None:
    def put(number: int) -> None:
        key = Key(Kind.POD, "web", f"p{number}")
        for _ in range(50):
            board.put(key, "u", (PEER, PORT))
            board.put(key, "u", ())
        board.put(key, "u", (PEER,))

    threads = [threading.Thread(target=put, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert counted(registry, Kind.POD) == 4
    assert len(ear.heard) == 4 * (50 * 2 + 1)


def test_what_two_readers_notice_of_an_object_adds_up(board: NoticeBoard, registry: CollectorRegistry) -> None:
    board.put(ALLOW, "u1", (PEER,))
    board.put(ALLOW, "u1", (PORT,), "review")
    assert counted(registry, Kind.NETWORK_POLICY) == 2

    board.put(ALLOW, "u1", ())

    assert counted(registry, Kind.NETWORK_POLICY) == 1


def test_a_line_says_what_a_notice_comes_to(caplog: pytest.LogCaptureFixture) -> None:
    board = NoticeBoard(Metrics())
    refused = Notice("Service", "web", "shop", "spec.externalIPs[0]", "is a node's")
    board.put(Key(Kind.SERVICE, "web", "shop"), "u", (refused,), reader="proxy", words="not served")
    assert [record.message.partition(" object")[0] for record in caplog.records] == ["not served"]
