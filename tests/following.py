"""A watcher of one kind and all that it tells, in a test: real requests, but no real time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from api_server import ApiServer
from builders import world
from prometheus_client import CollectorRegistry
from waiting import PATIENCE_SECONDS, wait_until
from world_manifests import Manifest, manifests

from netpol.bus import Bus
from netpol.model.facts import Kind
from netpol.model.objects import Namespace, Node, Pod
from netpol.model.policies import Policy
from netpol.model.snapshot import ObjectName
from netpol.settings import ApiSource, NetworkPolicyApi, PolicyOptions
from netpol.source.kube.anchor import Anchor
from netpol.source.kube.connection import ApiConnection, connect
from netpol.source.kube.recording import Recording
from netpol.source.kube.resources import resources
from netpol.source.kube.watcher import Pace, Watcher
from netpol.telemetry.health import Health
from netpol.telemetry.metrics import Metrics
from netpol.telemetry.notices import NoticeBoard
from netpol.trigger import Trigger

Object = Namespace | Pod | Node | Policy


def manifest(thing: Object) -> Manifest:
    """The object as the API has it."""
    return manifests(world(thing))[0]


class Following:
    """A watcher under way; its waits take no time but move its clock, unless `waits_really`."""

    def __init__(
        self,
        server: ApiServer | str,
        kind: Kind = Kind.POD,
        pace: Pace | None = None,
        *,
        policy_api: NetworkPolicyApi = NetworkPolicyApi.AUTO,
        options: PolicyOptions | None = None,
        synthesise_name_label: bool = False,
        waits_really: bool = False,
        node: str = "",
    ) -> None:
        """With `node`, a server that does not know the node is not believed."""
        self.waits: list[float] = []
        self.values: dict[ObjectName, object] = {}
        self.facts = 0
        self.now = 0.0
        self.metrics = Metrics(CollectorRegistry())
        self.health = Health(lambda: self.now, 60.0)
        self.stop = threading.Event()
        url = server if isinstance(server, str) else server.url
        self.connection: ApiConnection = connect(ApiSource(master=url), clock=lambda: self.now)
        self.bus = Bus()
        self._trigger = Trigger()
        self._subscription = self.bus.subscribe([kind], self._trigger)
        table = resources(
            options or PolicyOptions(), policy_api, kinds=[kind], synthesise_name_label=synthesise_name_label
        )
        self._watcher = Watcher(
            table[kind],
            self.connection,
            Recording(kind, self.bus, NoticeBoard(self.metrics), self.metrics),
            self.metrics,
            self.health,
            self.stop,
            pace or Pace(),
            anchor=Anchor(self.connection, node).require if node else lambda: None,
            clock=lambda: self.now,
            chance=lambda: 0.5,
            wait=None if waits_really else self._wait,
        )
        self._kind = kind
        self.thread = threading.Thread(target=self._watcher.run, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop.set()
        self.connection.close()
        self.thread.join(PATIENCE_SECONDS)
        if error is None:
            assert not self.thread.is_alive()

    def take(self) -> None:
        """`values` are what the bus has."""
        for fact in self._subscription.take():
            self.facts += 1
            if fact.value is None:
                self.values.pop(fact.key.object_name, None)
            else:
                self.values[fact.key.object_name] = fact.value

    def has(self, *names: str) -> bool:
        """True where the kind is in sync and these are the names of its objects."""
        self.take()
        known = {f"{namespace}/{name}" if namespace else name for namespace, name in self.values}
        return self._subscription.in_sync() and known == set(names)

    def until(self, condition: Callable[[], object]) -> None:
        """Returns once the condition holds."""
        wait_until(condition, trigger=self._trigger)

    def until_it_has(self, *names: str) -> None:
        """Returns once the kind is in sync with objects of these names and no others."""
        self.until(lambda: self.has(*names))

    def value(self, name: str) -> object:
        """The object called `name`, or None."""
        self.take()
        namespace, _, own = name.rpartition("/")
        return self.values.get((namespace, own))

    def failures(self, reason: str) -> float:
        """How often a request failed for this reason."""
        return metric(self.metrics, "netpol_watch_failures_total", kind=self._kind.value, reason=reason)

    def gauge(self, name: str) -> float:
        """The value of a gauge of this kind."""
        return metric(self.metrics, f"netpol_{name}", kind=self._kind.value)

    def _wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        # Not at once: a loop without a pause would leave no CPU to whatever the test waits for.
        return self.stop.wait(0.002)


def metric(metrics: Metrics, name: str, **labels: str) -> float:
    """The value of a metric, 0 where nothing was counted yet."""
    return metrics.registry.get_sample_value(name, labels) or 0.0
