"""What the main thread looks after: lists that are late, and policies that mean nothing."""

from __future__ import annotations

import pytest
from builders import namespace, node, pod, policy, rule, world
from live import gone
from prometheus_client import CollectorRegistry

from netpol.agent.rounds import REVIEW_SECONDS, LateLists, PolicyReview
from netpol.bus import Bus
from netpol.compiler.engine import Engine
from netpol.model.facts import FIREWALL_KINDS, PROXY_KINDS, Kind, lists
from netpol.model.snapshot import Snapshot
from netpol.settings import NodeOptions
from netpol.telemetry.metrics import Metrics
from netpol.telemetry.notices import NoticeBoard
from netpol.trigger import Trigger

NODE = NodeOptions("n1")
NAMED = policy("x/p", "app=web", ingress=[rule(ports=["http/TCP"])])
WORLD = world(namespace("x"), node("n1", "192.0.2.1"), pod("x/web", "10.0.0.2", labels="app=web", node="n1"), NAMED)


def test_lists_that_are_late_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus()
    subscriptions = [bus.subscribe(kinds, Trigger()) for kinds in (FIREWALL_KINDS, PROXY_KINDS)]
    bus.replace(Kind.POD, {})
    late = LateLists(subscriptions, 60.0)
    late.make(59.0)
    assert not caplog.records
    for later in (61.0, 62.0, 1_000.0):
        late.make(later)
    (record,) = caplog.records
    missing = record.__dict__["netpol_fields"]["missing"]
    assert missing == "EndpointSlice, Namespace, NetworkPolicy, Node and Service"


def test_lists_that_are_complete_are_not_late(caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus()
    subscription = bus.subscribe(PROXY_KINDS, Trigger())
    for kind in PROXY_KINDS:
        bus.replace(kind, {})
    LateLists([subscription], 60.0).make(61.0)
    assert not caplog.records


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
