"""Kubernetes Events on the objects that were not understood (M7), as `kubectl events` shows them.

Every node notices the same objects. An Event's name comes from what it says, so the agents
of all nodes mean the same Event: who comes second is told that it exists and leaves it.
"""

from __future__ import annotations

import enum
import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple, Protocol

from cachetools import TTLCache
from prometheus_client import Counter

from netpol.model.facts import Key, Kind
from netpol.model.notices import Notice
from netpol.telemetry.logs import Log

REPEAT_SECONDS = 3_700.0
"""API servers keep an Event for an hour; before that a second of the same would be refused anyway."""

MOST_WAITING = 1_000
MOST_REMEMBERED = 10_000
MOST_AT_ONCE = 25
SECONDS_EACH = 10.0
"""A thousand agents that start together send a server 25,000 Events, and then 100 a second."""

ATTEMPTS = 5
RETRY_SECONDS = 5.0
"""After the first attempt; twice as long after each more."""

LONGEST_MESSAGE = 1024
LONGEST_NAME = 253

_COMPONENT = "netpol"
_API_VERSIONS = {Kind.NETWORK_POLICY: "networking.k8s.io/v1", Kind.ENDPOINT_SLICE: "discovery.k8s.io/v1"}
_REASONS = {
    Kind.NETWORK_POLICY: "InvalidNetworkPolicy",
    Kind.NAMESPACE: "InvalidAnnotation",
    Kind.SERVICE: "InvalidService",
    Kind.ENDPOINT_SLICE: "InvalidEndpointSlice",
}

log = Log("telemetry.events")


class Poster(Protocol):
    """A connection to the API server."""

    def post(self, path: str, body: Mapping[str, object]) -> int:
        """The HTTP status of the answer, whatever it is; an exception where none came."""


class Outcome(enum.Enum):
    """What became of an Event; the values label the metric."""

    POSTED = "posted"
    EXISTS = "exists"
    REPEATED = "repeated"
    REFUSED = "refused"
    FAILED = "failed"
    CROWDED_OUT = "crowded_out"


class Event(NamedTuple):
    """An Event before it has a time."""

    key: Key
    uid: str
    reason: str
    message: str

    @classmethod
    def of(cls, key: Key, uid: str, notice: Notice) -> Event:
        """What the notice says of the object."""
        return cls(key, uid, _REASONS.get(key.kind, "NotUnderstood"), _cut(f"{notice.field}: {notice.message}"))

    @property
    def namespace(self) -> str:
        """Where it is kept: with its object, or in `default`, the only one allowed for objects of no namespace."""
        return self.key.namespace or "default"

    @property
    def name(self) -> str:
        """The same for the same words about the same object."""
        # Only the last part can hold a NUL, so no two Events run together to the same text.
        said = "\0".join((self.key.kind.value, *self.key.object_name, self.uid, self.reason, self.message))
        digest = sha256(said.encode(errors="backslashreplace")).hexdigest()[:16]
        return f"{self.key.name[: LONGEST_NAME - len(digest) - 1].rstrip('.-')}.{digest}"

    def manifest(self, node: str, moment: datetime) -> dict[str, object]:
        """A core/v1 Event, which every API server has served."""
        time = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "involvedObject": {
                "apiVersion": _API_VERSIONS.get(self.key.kind, "v1"),
                "kind": self.key.kind.value,
                "namespace": self.key.namespace,
                "name": self.key.name,
                "uid": self.uid,
            },
            "type": "Warning",
            "reason": self.reason,
            "message": self.message,
            "source": {"component": _COMPONENT, "host": node},
            "reportingComponent": _COMPONENT,
            "reportingInstance": node,
            "firstTimestamp": time,
            "lastTimestamp": time,
            "count": 1,
        }


class EventWriter:
    """Posts Events from a thread of its own, at a bounded rate; what it cannot post is counted and given up.

    `now` returns the wall's time, `clock` seconds that never go back; `stopping` ends the thread wherever it waits.
    """

    def __init__(
        self,
        poster: Poster,
        node: str,
        counter: Counter,
        now: Callable[[], datetime],
        clock: Callable[[], float],
        stopping: threading.Event,
    ) -> None:
        self._poster = poster
        self._node = node
        self._counter = counter
        self._now = now
        self._stopping = stopping
        self._allowance = Allowance(clock)
        # Only the thread uses it, so it needs no lock, without which these caches break.
        self._told: TTLCache[tuple[str, str], None] = TTLCache(MOST_REMEMBERED, REPEAT_SECONDS, clock)
        self._complaint = ""
        self._waiting: queue.Queue[Event | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self.run, name="events", daemon=True)

    def start(self) -> None:
        """From here on Events are posted; those offered before are not lost."""
        self._thread.start()

    def stop(self) -> None:
        """Nothing is posted any more but for what is under way, which is not waited for."""
        self._stopping.set()
        with suppress(queue.Full):  # then the thread is not waiting for the queue
            self._waiting.put_nowait(None)

    def offer(self, key: Key, uid: str, notice: Notice) -> None:
        """Take the notice; with too many waiting it is given up."""
        try:
            self._waiting.put_nowait(Event.of(key, uid, notice))
        except queue.Full:
            self._count(Outcome.CROWDED_OUT)

    def run(self) -> None:
        """Post what is offered, until stopped."""
        while (event := self._waiting.get()) and not self._stopping.is_set():
            if (event.namespace, event.name) in self._told:
                self._count(Outcome.REPEATED)
            elif outcome := self._tell(event):
                self._count(outcome)

    def _tell(self, event: Event) -> Outcome | None:
        """What became of the Event; None where the agent stops before that is known."""
        retry_seconds = RETRY_SECONDS
        for _ in range(ATTEMPTS):
            if self._stopping.wait(self._allowance.take()):
                return None
            match self._posted(event):
                case 200 | 201 | 202 | 409 as status:
                    self._told[event.namespace, event.name] = None
                    self._complaint = ""
                    return Outcome.EXISTS if status == 409 else Outcome.POSTED
                case status if status is not None and status < 500 and status != 429:
                    return Outcome.REFUSED
            if self._stopping.wait(retry_seconds):
                return None
            retry_seconds *= 2
        return Outcome.FAILED

    def _posted(self, event: Event) -> int | None:
        """The status of the answer, None where none came; a trouble is logged where it is not the last one's."""
        path = f"/api/v1/namespaces/{event.namespace}/events"
        try:
            status = self._poster.post(path, event.manifest(self._node, self._now()))
        except Exception as error:  # whatever the connection's libraries raise, an Event is not worth more than a line
            self._complain(type(error).__name__, event, error)
            return None
        if status >= 300 and status != 409:
            self._complain(str(status), event, f"HTTP status {status}")
        return status

    def _complain(self, trouble: str, event: Event, reason: object) -> None:
        if trouble != self._complaint:
            self._complaint = trouble
            log.warning("an Event could not be written", object=event.key, reason=reason)

    def _count(self, outcome: Outcome) -> None:
        self._counter.labels(outcome.value).inc()


class Allowance:
    """How soon the next Event may go: `MOST_AT_ONCE` without waiting, and one each `SECONDS_EACH` after that."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._free_at = clock() - MOST_AT_ONCE * SECONDS_EACH

    def take(self) -> float:
        """The seconds to wait before the one that is taken with this call."""
        now = self._clock()
        self._free_at = max(self._free_at, now - MOST_AT_ONCE * SECONDS_EACH) + SECONDS_EACH
        return max(0.0, self._free_at - now)


def _cut(text: str) -> str:
    """At most as many bytes as an API server takes, and no broken character."""
    encoded = text.encode(errors="backslashreplace")
    if len(encoded) <= LONGEST_MESSAGE:
        return encoded.decode()
    return encoded[: LONGEST_MESSAGE - 3].decode(errors="ignore") + "..."
