"""Where the agent's facts come from, and where what was not understood is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Protocol

from netpol.bus import Bus
from netpol.model.facts import Kind
from netpol.model.snapshot import Snapshot
from netpol.settings import AgentSettings, ApiSource, DirectorySource
from netpol.source.kube.anchor import Anchor
from netpol.source.kube.cluster import ClusterSource
from netpol.source.kube.connection import connect
from netpol.source.kube.failures import ApiFailure
from netpol.source.kube.resources import resources
from netpol.telemetry.events import EventWriter
from netpol.telemetry.health import Health
from netpol.telemetry.metrics import Metrics
from netpol.telemetry.notices import NoticeBoard


class Source(Protocol):
    """What follows the cluster from its start to its stop."""

    def start(self) -> Snapshot | None:
        """It is followed from here on; returns what it says, where that is known at once."""

    def stop(self) -> bool:
        """It is followed no more; False where that did not end in time."""


def open_source(
    settings: AgentSettings, kinds: Collection[Kind], bus: Bus, metrics: Metrics, health: Health, stack: ExitStack
) -> tuple[Source, NoticeBoard]:
    """What follows these kinds, not started yet, and the board of notices; `stack` ends what tells of them."""
    match settings.source:
        case DirectorySource(path):
            # It reads YAML, of which nothing comes from an API server.
            from netpol.source.directory import DirectoryWatcher  # noqa: PLC0415  its cost, see above

            notices = NoticeBoard(metrics)
            return DirectoryWatcher(path, settings.policies, bus, notices, metrics, health, kinds=kinds), notices
        case ApiSource() as api:
            connection = connect(api)
            events = EventWriter(
                EventPoster(connection),
                settings.node.name,
                metrics.events,
                partial(datetime.now, UTC),
                time.monotonic,
                threading.Event(),
            )
            events.start()
            stack.callback(events.stop)
            notices = NoticeBoard(metrics, events)
            cluster = ClusterSource(
                resources(
                    settings.policies,
                    api.network_policy_api,
                    kinds=kinds,
                    synthesise_name_label=api.synthesise_name_label,
                ),
                connection,
                bus,
                notices,
                metrics,
                health,
                anchor=Anchor(connection, settings.node.name).require,
            )
            return cluster, notices


class Posting(Protocol):
    """What is used of the connection to write Events."""

    def post(self, path: str, body: Mapping[str, object]) -> object:
        """Create what the body says; ApiFailure where the answer is another."""


class EventPoster:
    """The connection as the writer of Events wants it: an answer has a status, whichever it is."""

    def __init__(self, connection: Posting) -> None:
        self._connection = connection

    def post(self, path: str, body: Mapping[str, object]) -> int:
        """The status of the answer; ApiFailure where there was none."""
        try:
            self._connection.post(path, body)
        except ApiFailure as failure:
            if failure.status is None:
                raise
            return failure.status
        return HTTPStatus.CREATED
