"""The threads together: made as settings say, and ended together."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
from builders import namespace, node, pod, policy, world
from prometheus_client import CollectorRegistry
from waiting import wait_until

from netpol.agent import crew, proxy_kernel, settling
from netpol.agent.clearing import Owners
from netpol.agent.control_thread import ControlThread
from netpol.agent.crew import Crew
from netpol.bus import Bus
from netpol.control import firewall
from netpol.control.firewall import Firewall
from netpol.dataplane.clearing import Cleared
from netpol.dataplane.ipset import NetlinkSets
from netpol.dataplane.iptables import IptablesTables
from netpol.errors import KernelRefusal, NetpolError
from netpol.model.facts import lists
from netpol.model.networks import Family
from netpol.settings import AgentSettings, ApiSource, AuditSettings, NodeOptions, ProxySettings, Variant
from netpol.telemetry.health import Health
from netpol.telemetry.metrics import Metrics
from netpol.telemetry.notices import NoticeBoard
from proxy import controller

SETTINGS = AgentSettings(NodeOptions("n1"), ApiSource(), audit=AuditSettings(file=None))
WORLD = world(
    namespace("x"), node("n1", "192.0.2.1"), pod("x/web", "10.0.0.2", labels="app=web", node="n1"), policy("x/p")
)


class Parts:
    """A crew that was not started, and what it works with."""

    def __init__(self, settings: AgentSettings, stack: ExitStack) -> None:
        self.bus = Bus()
        self.metrics = Metrics(CollectorRegistry())
        self.health = Health(time.monotonic, 60.0)
        notices = NoticeBoard(self.metrics)
        self.crew = Crew(settings, Variant.NFT, self.bus, self.metrics, self.health, notices, stack)


@pytest.fixture(name="stack")
def _stack(private_network: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    monkeypatch.setattr(settling, "settle", lambda: None)
    with ExitStack() as stack:
        yield stack


def test_a_proxy_alone_has_no_metric_that_speaks_of_a_firewall() -> None:
    with ExitStack() as stack:
        both = Parts(replace(SETTINGS, proxy=ProxySettings()), stack)
        alone = Parts(replace(SETTINGS, firewall=False, proxy=ProxySettings()), stack)
    for name in ("netpol_in_sync", "netpol_last_success_timestamp_seconds", "netpol_audit_listening"):
        assert both.metrics.registry.get_sample_value(name) == 0
        assert alone.metrics.registry.get_sample_value(name) is None
    assert alone.metrics.registry.get_sample_value("netpol_proxy_in_sync") == 0


def test_every_controller_is_waited_for_before_the_node_is_ready() -> None:
    with ExitStack() as stack:
        parts = Parts(replace(SETTINGS, proxy=ProxySettings()), stack)
    parts.health.programmed(firewall.PART)
    assert not parts.health.is_ready()
    parts.health.programmed(controller.PART)
    assert parts.health.is_ready()


@pytest.mark.kernel
def test_a_proxy_without_ipvs_ends_with_the_reason_in_words(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> object:
        raise KernelRefusal("virtual servers cannot be read: the kernel has no IPVS (modprobe ip_vs)")

    monkeypatch.setattr(proxy_kernel, "NetlinkServers", refuse)
    parts = Parts(replace(SETTINGS, firewall=False, proxy=ProxySettings()), stack)
    parts.crew.start()
    wait_until(lambda: not parts.crew.is_alive(), "it has ended")
    parts.crew.stop()
    with pytest.raises(NetpolError, match=r"^the service proxy thread ended: virtual servers cannot be read: the kern"):
        parts.crew.raise_errors()
    assert "Traceback" not in caplog.text


def is_empty() -> bool:
    """True where the kernel has no chain and no set of ours."""
    with NetlinkSets() as sets:
        return not sets.read() and not any(IptablesTables(Variant.NFT).read(family).chains for family in Family)


def programmed(settings: AgentSettings, stack: ExitStack) -> Parts:
    """A crew that has brought the world to the kernel."""
    parts = Parts(settings, stack)
    parts.bus.replace_all(lists(WORLD))
    assert not parts.health.is_ready()
    parts.crew.start()
    wait_until(parts.health.is_ready, "the kernel is programmed")
    return parts


@pytest.mark.kernel
def test_it_leaves_what_is_in_force_when_it_stops(stack: ExitStack) -> None:
    parts = programmed(SETTINGS, stack)
    assert parts.crew.is_alive()
    parts.crew.make_rounds(time.monotonic())
    parts.crew.stop()
    assert not parts.crew.is_alive()
    parts.crew.raise_errors()
    assert not is_empty()


@pytest.mark.kernel
def test_it_takes_everything_away_where_it_was_told_to(stack: ExitStack, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    parts = programmed(replace(SETTINGS, cleanup_on_exit=True), stack)
    parts.crew.stop()
    assert is_empty()
    assert "cleaned up" in caplog.text


def test_it_takes_away_what_it_keeps_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may keep the rest."""
    asked: list[Owners] = []

    def clear_all(_: object, owners: Owners) -> Cleared:
        asked.append(owners)
        return Cleared()

    monkeypatch.setattr(crew, "clear_all", clear_all)
    monkeypatch.setattr(ControlThread, "stop", lambda _: None)
    cleaning = replace(SETTINGS, cleanup_on_exit=True)
    with ExitStack() as stack:
        for settings in (
            cleaning,
            replace(cleaning, proxy=ProxySettings()),
            replace(cleaning, firewall=False, proxy=ProxySettings()),
        ):
            Parts(settings, stack).crew.stop()
    assert asked == [Owners.FIREWALL, Owners.FIREWALL | Owners.SERVICE_PROXY, Owners.SERVICE_PROXY]


@pytest.mark.kernel
def test_what_one_dies_of_is_an_error_and_takes_nothing_away(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    programmed(SETTINGS, stack).crew.stop()

    def break_down(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Firewall, "run", break_down)
    parts = Parts(replace(SETTINGS, cleanup_on_exit=True), stack)
    parts.crew.start()
    wait_until(lambda: not parts.crew.is_alive(), "it has ended")
    parts.crew.stop()
    with pytest.raises(NetpolError, match=r"the control thread ended: ZeroDivisionError"):
        parts.crew.raise_errors()
    assert not is_empty()
