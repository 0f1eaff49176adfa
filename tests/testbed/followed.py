"""Kinds of a real API server followed as the agent follows them, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry
from waiting import wait_until

from netpol.bus import Bus
from netpol.model.facts import FIREWALL_KINDS, Fact, Key, Kind
from netpol.settings import ApiSource, NetworkPolicyApi, PolicyOptions
from netpol.source.kube.cluster import ClusterSource
from netpol.source.kube.connection import connect
from netpol.source.kube.resources import resources
from netpol.source.kube.watcher import DEFAULT_PACE, Pace
from netpol.telemetry.health import Health
from netpol.telemetry.metrics import Metrics
from netpol.telemetry.notices import NoticeBoard
from netpol.trigger import Trigger


class Followed:
    """A source under way inside the `with`; every fact that it recorded is kept in its order."""

    def __init__(
        self,
        kubeconfig: Path,
        policy_api: NetworkPolicyApi = NetworkPolicyApi.AUTO,
        pace: Pace = DEFAULT_PACE,
        kinds: Collection[Kind] = FIREWALL_KINDS,
    ) -> None:
        self.facts: list[Fact] = []
        self.metrics = Metrics(CollectorRegistry())
        self.health = Health(time.monotonic, stuck_after_seconds=60.0)
        self._values: dict[Key, object] = {}
        self._kinds = kinds
        self._bus = Bus()
        self._subscription = self._bus.subscribe(kinds, Trigger())
        self._source = ClusterSource(
            resources(PolicyOptions(), policy_api, kinds=kinds),
            connect(ApiSource(kubeconfig=kubeconfig)),
            self._bus,
            NoticeBoard(self.metrics),
            self.metrics,
            self.health,
            pace,
        )

    def value(self, kind: Kind, namespace: str, name: str) -> object:
        """The object as it was recorded last; None where there is none."""
        self._take()
        return self._values.get(Key(kind, namespace, name))

    def history(self, kind: Kind, namespace: str, name: str) -> list[object]:
        """All that was recorded of the object."""
        self._take()
        return [fact.value for fact in self.facts if fact.key == Key(kind, namespace, name)]

    def in_sync(self) -> bool:
        """Whether every kind was listed."""
        return self._subscription.in_sync()

    def until(self, what: str, condition: Callable[[], object]) -> None:
        """The condition holds."""
        wait_until(condition, what)

    def lists(self, kind: Kind) -> float:
        """How often the kind was listed completely."""
        return self._metric("lists_total", kind=kind.value)

    def failures(self, reason: str) -> float:
        """How often a list or a watch of any kind failed for this reason."""
        return sum(self._metric("watch_failures_total", kind=kind.value, reason=reason) for kind in self._kinds)

    def bookmarks(self) -> float:
        """How many bookmarks came."""
        return sum(self._metric("watch_events_total", kind=kind.value, type="BOOKMARK") for kind in self._kinds)

    def is_connected(self) -> bool:
        """Whether every kind is watched."""
        return all(self._metric("watch_connected", kind=kind.value) == 1 for kind in self._kinds)

    def _metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"netpol_{name}", labels) or 0.0

    def _take(self) -> None:
        for fact in self._subscription.take():
            self.facts.append(fact)
            if fact.value is None:
                self._values.pop(fact.key, None)
            else:
                self._values[fact.key] = fact.value

    def __enter__(self) -> Self:
        self._source.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stopped = self._source.stop()
        assert stopped or error is not None
