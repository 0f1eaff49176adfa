"""What the agent has for the firewall alone, and a service proxy alone does without."""

from __future__ import annotations

import subprocess
import sys

import pytest
from builders import namespace, node, pod, policy, rule, world
from live import gone
from prometheus_client import CollectorRegistry

from netpol.agent.enforcement import REVIEW_SECONDS, PolicyReview
from netpol.bus import Bus
from netpol.compiler.engine import Engine
from netpol.model.facts import FIREWALL_KINDS, lists
from netpol.model.snapshot import Snapshot
from netpol.settings import NodeOptions
from netpol.telemetry.metrics import Metrics
from netpol.telemetry.notices import NoticeBoard
from netpol.trigger import Trigger

NODE = NodeOptions("n1")
NAMED = policy("x/p", "app=web", ingress=[rule(ports=["http/TCP"])])
WORLD = world(namespace("x"), node("n1", "192.0.2.1"), pod("x/web", "10.0.0.2", labels="app=web", node="n1"), NAMED)


def test_it_is_loaded_where_it_is_asked_for_alone() -> None:
    script = "import sys, netpol.command.run; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "netpol.agent.crew" in loaded
    for module in ("netpol.compiler.engine", "netpol.policy.verdict", "netpol.audit.recorder", "netpol.source.scanner"):
        assert module not in loaded


class Reviewed:
    """A review of what is recorded, and what it tells."""

    def __init__(self) -> None:
        self.bus = Bus()
        self.engine = Engine(NODE)
        self._metrics = Metrics(CollectorRegistry())
        self._subscription = self.bus.subscribe(FIREWALL_KINDS, Trigger())
        self.review = PolicyReview(NODE, self._subscription, self.engine.snapshot, NoticeBoard(self._metrics))

    def list(self, snapshot: Snapshot) -> None:
        """Everything was listed, and the engine has it."""
        self.bus.replace_all(lists(snapshot))
        self.engine.apply(self._subscription.take())

    @property
    def notices(self) -> float:
        """How many notices about policies there are."""
        return self._metrics.registry.get_sample_value("netpol_notices", {"kind": "NetworkPolicy"}) or 0.0


def test_policies_are_looked_at_once_everything_is_listed_and_then_now_and_then() -> None:
    reviewed = Reviewed()
    reviewed.review.make(1_000.0)
    assert reviewed.notices == 0
    reviewed.list(WORLD)
    reviewed.review.make(1_001.0)
    assert reviewed.notices == 1, "no pod has a port of that name"
    reviewed.engine.apply([gone(NAMED)])
    reviewed.review.make(1_001.0 + REVIEW_SECONDS - 1)
    assert reviewed.notices == 1
    reviewed.review.make(1_001.0 + REVIEW_SECONDS)
    assert reviewed.notices == 0


def test_a_pod_range_that_is_not_known_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """G12."""
    reviewed = Reviewed()
    reviewed.list(world(namespace("x"), node("n1", pod_cidrs=["10.0.0.0/24"])))
    for now in (1.0, 1_000.0):
        reviewed.review.make(now)
    told = [record.__dict__["netpol_fields"] for record in caplog.records if "pod range" in record.getMessage()]
    assert told == [{"family": "IPv6"}]
