"""What the agent is made of: the control thread on a kernel of its own, the main thread's rounds, and Events."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import pytest
from builders import namespace, node, pod, policy, rule, world
from live import gone, known, unfollowed
from prometheus_client import CollectorRegistry
from waiting import wait_until

from netpol import agent
from netpol.agent import Control, Rounds, _EventPoster
from netpol.bus import Bus
from netpol.control.firewall import Firewall
from netpol.dataplane.ipset import NetlinkSets
from netpol.dataplane.iptables import IptablesTables
from netpol.dataplane.kernel import KernelTable
from netpol.errors import KernelRefusal, NetpolError
from netpol.model.facts import Kind, lists
from netpol.model.networks import Family
from netpol.settings import AgentSettings, DirectorySource, Listener, NodeOptions, Variant
from netpol.source.kube.failures import ApiFailure, Reason
from netpol.telemetry.health import Health
from netpol.telemetry.metrics import Metrics
from netpol.telemetry.notices import NoticeBoard

SETTINGS = AgentSettings(NodeOptions("n1"), DirectorySource(Path("manifests")), cache_sync_timeout_seconds=60.0)
NAMED = policy("x/p", "app=web", ingress=[rule(ports=["http/TCP"])])
WORLD = world(namespace("x"), node("n1", "192.0.2.1"), pod("x/web", "10.0.0.2", labels="app=web", node="n1"), NAMED)


class Parts:
    """A bus, a control thread that was not started, and what they tell."""

    def __init__(self, settings: AgentSettings = SETTINGS, variant: Variant = Variant.NFT) -> None:
        self.variant = variant
        self.bus = Bus()
        self.metrics = Metrics(CollectorRegistry())
        self.health = Health(time.monotonic, 60.0)
        self.control = Control(settings, variant, self.bus, self.metrics, self.health, unfollowed())

    def gauge(self, name: str, **labels: str) -> float:
        """The value of one of the agent's metrics."""
        return self.metrics.registry.get_sample_value(f"netpol_{name}", labels) or 0.0


# --- the control thread


@pytest.fixture(params=Variant, ids=lambda variant: variant.value, name="parts")
def _parts(request: pytest.FixtureRequest, private_network: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Parts]:
    monkeypatch.setattr(agent, "_settle", lambda: None)
    parts = Parts(variant=request.param)
    yield parts
    parts.control.stop()


def table(parts: Parts) -> KernelTable:
    """What the kernel has of ours for IPv4."""
    return IptablesTables(parts.variant).read(Family.IPV4)


@pytest.mark.kernel
def test_the_control_thread_keeps_the_kernel_and_leaves_the_rules_when_it_is_stopped(parts: Parts) -> None:
    parts.control.start()
    assert not table(parts).chains
    parts.bus.replace_all(lists(WORLD))
    wait_until(parts.health.is_ready, "the kernel is programmed")
    assert parts.gauge("in_sync") == 1
    before = len(table(parts).chains)
    parts.bus.record(gone(NAMED))
    wait_until(lambda: parts.gauge("batches_total") == 1, "the policy is gone")
    assert len(table(parts).chains) < before
    parts.control.stop()
    assert not parts.control.is_alive()
    assert parts.control.error is None
    parts.bus.record(known(NAMED))
    assert len(table(parts).chains) == before - 1


@pytest.mark.kernel
def test_it_takes_everything_away_at_its_end_where_it_was_told_to(
    private_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "_settle", lambda: None)
    parts = Parts(replace(SETTINGS, cleanup_on_exit=True))
    parts.bus.replace_all(lists(WORLD))
    parts.control.start()
    wait_until(parts.health.is_ready, "the kernel is programmed")
    assert table(parts).chains
    parts.control.stop()
    assert not table(parts).chains
    with NetlinkSets() as sets:
        assert not sets.read()


@pytest.mark.kernel
def test_a_kernel_that_tells_of_no_changes_is_kept_all_the_same(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise KernelRefusal("changes of others are not told: Operation not permitted")

    monkeypatch.setattr(agent, "ForeignChanges", refuse)
    parts.bus.replace_all(lists(WORLD))
    parts.control.start()
    wait_until(parts.health.is_ready, "the kernel is programmed")
    assert "found by comparing alone" in caplog.text


@pytest.mark.kernel
def test_what_nobody_expected_ends_it_and_is_kept(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(agent, "Keeper", break_down)
    parts.control.start()
    wait_until(lambda: not parts.control.is_alive(), "it has ended")
    assert isinstance(parts.control.error, ZeroDivisionError)


@pytest.mark.kernel
def test_what_nobody_expected_of_its_work_ends_it_with_its_watch(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Firewall, "run", break_down)
    parts.control.start()
    wait_until(lambda: not parts.control.is_alive(), "it has ended")
    assert isinstance(parts.control.error, ZeroDivisionError)


def test_a_port_that_an_agent_is_about_to_leave_is_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as former:
        listener = Listener(former.getsockname()[1], "127.0.0.1")
        threading.Timer(0.3, former.close).start()
        parts = Parts()
        servers = agent._serve(replace(SETTINGS, health=listener), parts.metrics, parts.health)
        servers.stop()


def test_a_port_that_stays_taken_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "PORTS_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as other:
        listener = Listener(other.getsockname()[1], "127.0.0.1")
        parts = Parts()
        with pytest.raises(NetpolError, match="another program listens there"):
            agent._serve(replace(SETTINGS, health=listener), parts.metrics, parts.health)


# --- the main thread's rounds


def test_lists_that_are_late_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    parts = Parts()
    parts.bus.replace(Kind.POD, {})
    begun = time.monotonic()
    rounds = Rounds(SETTINGS, parts.control, NoticeBoard(parts.metrics))
    rounds.make(begun + 59)
    assert not caplog.records
    for later in (61, 62, 1_000):
        rounds.make(begun + later)
    (record,) = caplog.records
    missing = record.__dict__["netpol_fields"]["missing"]
    assert all(kind.value in missing for kind in Kind if kind is not Kind.POD)
    assert "Pod" not in missing


def test_policies_are_looked_at_once_everything_is_listed_and_then_now_and_then() -> None:
    parts = Parts()
    rounds = Rounds(SETTINGS, parts.control, NoticeBoard(parts.metrics))
    rounds.make(1_000.0)
    assert parts.gauge("notices", kind="NetworkPolicy") == 0
    parts.bus.replace_all(lists(WORLD))
    parts.control.engine.apply(parts.control.subscription.take())
    rounds.make(1_001.0)
    assert parts.gauge("notices", kind="NetworkPolicy") == 1, "no pod has a port of that name"
    parts.control.engine.apply([gone(NAMED)])
    rounds.make(1_001.0 + agent.REVIEW_SECONDS - 1)
    assert parts.gauge("notices", kind="NetworkPolicy") == 1
    rounds.make(1_001.0 + agent.REVIEW_SECONDS)
    assert parts.gauge("notices", kind="NetworkPolicy") == 0


def test_a_pod_range_that_is_not_known_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """G12."""
    parts = Parts()
    rounds = Rounds(SETTINGS, parts.control, NoticeBoard(parts.metrics))
    parts.bus.replace_all(lists(world(namespace("x"), node(SETTINGS.node.name, pod_cidrs=["10.0.0.0/24"]))))
    parts.control.engine.apply(parts.control.subscription.take())
    for now in (1.0, 1_000.0):
        rounds.make(now)
    told = [record.__dict__["netpol_fields"] for record in caplog.records if "pod range" in record.getMessage()]
    assert told == [{"family": "IPv6"}]


# --- Events


class Answering:
    """A connection that answers so."""

    def __init__(self, failure: ApiFailure | None) -> None:
        self._failure = failure
        self.posted: list[str] = []

    def post(self, path: str, body: Mapping[str, object]) -> None:
        self.posted.append(path)
        assert body
        if self._failure is not None:
            raise self._failure


def posted(failure: ApiFailure | None) -> int:
    """The status that the writer of Events sees."""
    return _EventPoster(Answering(failure)).post("/api/v1/namespaces/x/events", {"reason": "Invalid"})


def test_the_writer_of_events_sees_the_status_of_every_answer() -> None:
    assert posted(None) == HTTPStatus.CREATED
    assert posted(ApiFailure(Reason.FORBIDDEN, "no", status=403)) == HTTPStatus.FORBIDDEN


def test_no_answer_is_a_failure() -> None:
    with pytest.raises(ApiFailure, match="nobody there"):
        posted(ApiFailure(Reason.UNREACHABLE, "nobody there"))
