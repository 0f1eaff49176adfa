"""The firewall's thread on a kernel of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import pytest
from builders import namespace, node, pod, policy, rule, world
from live import gone, known, unfollowed
from prometheus_client import CollectorRegistry
from waiting import wait_until

from netpol.agent import firewall_thread
from netpol.agent.firewall_thread import FirewallThread
from netpol.agent.own_writes import WritesOfAll
from netpol.bus import Bus
from netpol.control.firewall import Firewall, Instruments
from netpol.dataplane.ipset import NetlinkSets
from netpol.dataplane.iptables import IptablesTables
from netpol.dataplane.kernel import KernelTable
from netpol.errors import KernelRefusal
from netpol.model.facts import FIREWALL_KINDS, lists
from netpol.model.networks import Family
from netpol.settings import AgentSettings, ApiSource, NodeOptions, Variant
from netpol.telemetry.health import Health
from netpol.telemetry.metrics import Metrics

SETTINGS = AgentSettings(NodeOptions("n1"), ApiSource())
NAMED = policy("x/p", "app=web", ingress=[rule(ports=["http/TCP"])])
WORLD = world(namespace("x"), node("n1", "192.0.2.1"), pod("x/web", "10.0.0.2", labels="app=web", node="n1"), NAMED)


class Parts:
    """A bus, a thread that was not started, and what they tell."""

    def __init__(self, variant: Variant = Variant.NFT) -> None:
        self.variant = variant
        self.bus = Bus()
        self.metrics = Metrics(CollectorRegistry())
        self.health = Health(time.monotonic, 60.0)
        self.firsts: list[float] = []
        self.thread = FirewallThread(
            SETTINGS,
            variant,
            self.bus,
            Instruments(self.metrics, self.health, time.monotonic),
            unfollowed(),
            WritesOfAll(),
            lambda: self.firsts.append(time.monotonic()),
        )

    def gauge(self, name: str, **labels: str) -> float:
        """The value of one of the agent's metrics."""
        return self.metrics.registry.get_sample_value(f"netpol_{name}", labels) or 0.0


@pytest.fixture(params=Variant, ids=lambda variant: variant.value, name="parts")
def _parts(request: pytest.FixtureRequest, private_network: None) -> Iterator[Parts]:
    parts = Parts(request.param)
    yield parts
    parts.thread.stop()


def table(parts: Parts) -> KernelTable:
    """What the kernel has of ours for IPv4."""
    return IptablesTables(parts.variant).read(Family.IPV4)


def test_it_follows_what_policies_are_judged_by() -> None:
    assert Parts().thread.subscription.kinds == frozenset(FIREWALL_KINDS)


@pytest.mark.kernel
def test_it_keeps_the_kernel_and_leaves_the_rules_when_it_is_stopped(parts: Parts) -> None:
    parts.thread.start()
    assert not table(parts).chains
    parts.bus.replace_all(lists(WORLD))
    wait_until(parts.health.is_ready, "the kernel is programmed")
    assert len(parts.firsts) == 1
    assert parts.gauge("in_sync") == 1
    before = len(table(parts).chains)
    parts.bus.record(gone(NAMED))
    wait_until(lambda: parts.gauge("batches_total") == 1, "the policy is gone")
    assert len(table(parts).chains) < before
    parts.thread.stop()
    assert not parts.thread.is_alive()
    assert parts.thread.error is None
    parts.bus.record(known(NAMED))
    assert len(table(parts).chains) == before - 1
    with NetlinkSets() as sets:
        assert sets.read()


@pytest.mark.kernel
def test_what_others_change_is_noticed_and_what_it_writes_itself_is_not(private_network: None) -> None:
    parts = Parts(Variant.NFT)
    parts.bus.replace_all(lists(WORLD))
    parts.thread.start()
    try:
        wait_until(parts.health.is_ready, "the kernel is programmed")
        for batches, fact in ((1, gone(NAMED)), (2, known(NAMED))):
            parts.bus.record(fact)
            wait_until(partial(lambda wanted: parts.gauge("batches_total") == wanted, batches), "it is in force")
        assert parts.gauge("foreign_changes_total") == 0
        IptablesTables(parts.variant).write(Family.IPV4, ["-F NETPOL-FORWARD"])
        wait_until(lambda: parts.gauge("drift_repaired_total") > 0, "it is mended")
        assert parts.gauge("foreign_changes_total") > 0
        assert table(parts).chains["NETPOL-FORWARD"]
    finally:
        parts.thread.stop()


@pytest.mark.kernel
def test_a_kernel_that_tells_of_no_changes_is_kept_all_the_same(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise KernelRefusal("changes of others are not told: Operation not permitted")

    monkeypatch.setattr(firewall_thread, "ForeignChanges", refuse)
    parts.bus.replace_all(lists(WORLD))
    parts.thread.start()
    wait_until(parts.health.is_ready, "the kernel is programmed")
    assert "found by comparing alone" in caplog.text


@pytest.mark.kernel
def test_what_nobody_expected_ends_it_with_its_watch_and_is_kept(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Firewall, "run", break_down)
    parts.thread.start()
    wait_until(lambda: not parts.thread.is_alive(), "it has ended")
    assert isinstance(parts.thread.error, ZeroDivisionError)
