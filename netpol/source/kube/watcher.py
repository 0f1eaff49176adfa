"""A thread that keeps the bus true to what the API server has of one kind."""

from __future__ import annotations

import random
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from netpol.model.facts import Kind
from netpol.source.kube import discovery
from netpol.source.kube.backoff import MOST_SECONDS, Backoff
from netpol.source.kube.connection import ApiConnection
from netpol.source.kube.credibility import SETTLE_SECONDS, Credibility, is_alarming
from netpol.source.kube.cursor import PAGE_LIMIT, Cursor
from netpol.source.kube.failures import ApiFailure, Reason, of_event
from netpol.source.kube.objects import Found
from netpol.source.kube.pages import Event, Garbled, Lines, decode_event, decode_header, decode_page
from netpol.source.kube.paging import list_objects
from netpol.source.kube.recording import Recording
from netpol.source.kube.resources import Resource
from netpol.telemetry.logs import Log
from netpol.telemetry.metrics import Metrics

log = Log("source.kube")

_OUTDATED = (Reason.GONE, Reason.REFUSED)
"""Failures of a watch that a list mends, for it is the version that the server does not take."""

_MOST_GARBLED = 2
_MOST_FAILURES = 3
"""How often a watch may fail at one version before that version is given up."""

_LOST = (Reason.UNREACHABLE, Reason.TLS, Reason.CUT, Reason.SILENT, Reason.SERVER_ERROR, Reason.BUSY)
"""Failures after which it may be another server that answers, or one that was restarted with other APIs."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things last, in seconds, and how many objects a page has.

    A watch that ends by itself before it `lived` counts as a failure, or a server that ends each at once would be
    asked without pause. The server ends a watch after `watch` to one and a tenth of it; `margin` later it is cut.
    An API that is not served is looked for at least every `probe`.
    """

    watch: float = 290.0
    margin: float = 15.0
    lived: float = 5.0
    settle: float = SETTLE_SECONDS
    most_wait: float = MOST_SECONDS
    probe: float = 3.0
    page_limit: int = PAGE_LIMIT


class Faults(Protocol):
    """What is used of the agent's health."""

    def fail(self, part: str, reason: str) -> None:
        """The part cannot do its work."""

    def recover(self, part: str) -> None:
        """The part does its work again."""


DEFAULT_PACE = Pace()


class Watcher:
    """Follows one kind until `stop` is set; `candidates` are the resources it can be read from, the preferred first.

    Whatever fails, what is known stays, and is tried again. To end a read under way, close the connection.
    `anchor` raises an ApiFailure while the server is not to be believed, whatever it lists.
    """

    def __init__(
        self,
        candidates: Sequence[Resource],
        connection: ApiConnection,
        recording: Recording,
        metrics: Metrics,
        health: Faults,
        stop: threading.Event,
        pace: Pace = DEFAULT_PACE,
        *,
        anchor: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        first = candidates[0]
        self.kind: Kind = first.kind
        self._candidates = candidates
        self._connection = connection
        self._recording = recording
        self._metrics = metrics
        self._health = health
        self._part = f"source.kube.{self.kind.value}"
        self._stop = stop
        self._pace = pace
        self._anchor = anchor
        self._clock = clock
        self._chance = chance
        self._wait = wait or stop.wait
        self._cursor = Cursor(pace.page_limit)
        self._credibility = Credibility(never_empty=first.never_empty, settle_seconds=pace.settle)
        self._backoff = Backoff(chance, most_seconds=pace.most_wait)
        # Apart from the other, which an outage has made long: what ends an outage may well be a version that is gone.
        self._relists = Backoff(chance, most_seconds=pace.most_wait)
        self._resource: Resource | None = first if len(candidates) == 1 else None
        self._read_from: Resource | None = None
        self._is_suspicious = False
        self._complaint = ""
        self._connected = metrics.watch_connected.labels(self.kind.value)
        self._connected.set(0)

    def run(self) -> None:
        """Follow the kind; returns once `stop` is set."""
        while not self._stop.is_set():
            try:
                self._step()
            except ApiFailure as failure:
                self._connected.set(0)
                if failure.reason is Reason.CLOSED or self._stop.is_set():
                    break
                self._take_failure(failure)
            except Exception as error:
                # A bug must not end the thread: the kernel would go on enforcing what is long out of date.
                self._connected.set(0)
                self._take_bug(error)
        self._connected.set(0)

    def _step(self) -> None:
        """One list where one is needed, and one watch."""
        resource = self._served()
        if self._cursor.follows:
            self._doubt(resource)
        if not self._cursor.follows:
            self._list(resource)
        self._is_suspicious = False
        started = self._clock()
        try:
            self._watch(resource)
        except ApiFailure as failure:
            self._take_watch_failure(failure)
            raise
        finally:
            self._connected.set(0)
            has_lived = self._clock() - started >= self._pace.lived
            if has_lived:
                self._backoff.reset()
                self._relists.reset()
        if not has_lived:
            self._wait((self._backoff if self._cursor.follows else self._relists).seconds())

    def _served(self) -> Resource:
        """The resource to read from; a list is needed where it is not the one read from so far."""
        if self._resource is None:
            self._resource = discovery.served(self._candidates, self._connection)
        if self._resource is None:
            wanted = " or ".join(candidate.title for candidate in self._candidates)
            raise ApiFailure(Reason.NOT_SERVED, f"the API server does not serve {wanted}")
        if self._resource is not self._read_from:
            if self._read_from is not None or len(self._candidates) > 1:
                log.info("the kind is read from", resource=self._resource)
            self._cursor.expire()
            self._read_from = self._resource
        return self._resource

    def _doubt(self, resource: Resource) -> None:
        """The watch may go on with this server; a list is needed where it is not the one that was followed."""
        try:
            self._anchor()
        except ApiFailure as failure:
            if failure.reason is Reason.EMPTY:
                self._cursor.expire()
            raise
        if self._is_suspicious:
            self._look_where_the_server_is(resource)

    def _look_where_the_server_is(self, resource: Resource) -> None:
        """A list is needed where the server does not know of what was seen of it (see Cursor)."""
        request = resource.list_request((("limit", "1"),))
        try:
            page = decode_page(self._connection.get(request), resource.object_name)
        except Garbled as error:
            raise ApiFailure(Reason.GARBLED, f"list {resource.title}: {error}") from None
        self._cursor.take_server_version(page.version)

    def _list(self, resource: Resource) -> None:
        """The bus has the complete list, if it is credible; an ApiFailure if it is not."""
        started = self._clock()
        found, unnamed = list_objects(self._connection, resource, self._cursor)
        self._metrics.lists.labels(self.kind.value).inc()
        for error in unnamed:
            log.warning("an object cannot be read", resource=resource, reason=error)
        known = len(self._recording)
        if not self._credibility.believes(len(found), known, self._clock()):
            self._cursor.expire()
            raise ApiFailure(
                Reason.EMPTY, f"the API server lists no {resource.title}, which is not believed: {known} were known"
            )
        self._believe_list()
        if is_alarming(len(found), known):
            log.warning("more than half of the objects are gone", kind=self.kind, known=known, listed=len(found))
        changed = self._recording.replace(found)
        log.info("listed", kind=self.kind, objects=len(found), changed=changed, seconds=self._clock() - started)

    def _believe_list(self) -> None:
        """The server is the one of this node; where that is not known, the list is to be read again."""
        try:
            self._anchor()
        except ApiFailure:
            self._cursor.expire()
            raise

    def _watch(self, resource: Resource) -> None:
        """Record what happens until the server ends the watch."""
        seconds = int(self._pace.watch * (1 + self._chance() / 10))
        longest = seconds + self._pace.margin
        request = resource.watch_request(self._cursor.watch_query(seconds))
        lines = Lines()
        with self._connection.watch(request, longest, longest) as stream:
            self._has_recovered()
            try:
                for chunk in stream.chunks():
                    for line in lines.feed(chunk):
                        if not self._take_event(decode_event(line), resource):
                            return
            except Garbled as error:
                raise ApiFailure(Reason.GARBLED, f"watch {resource.title}: {error}") from None

    def _take_event(self, event: Event, resource: Resource) -> bool:
        """The bus has what the event says; False where the watch can't go on, and the event says nothing."""
        found: Found | None = None
        match event.type:
            case "ADDED" | "MODIFIED":
                header, found = resource.reader.read(event.object)
            case "DELETED" | "BOOKMARK":
                header = decode_header(event.object)
            case "ERROR":
                raise of_event(bytes(event.object), resource.watch_request(()))
            case _:
                raise Garbled(f"an event has the type {event.type!r}")
        if not header.resource_version:
            raise Garbled(f"an event of the type {event.type} has no resourceVersion")
        self._metrics.watch_events.labels(self.kind.value, event.type).inc()
        is_deletion = event.type == "DELETED"
        if not self._cursor.take_version(header.resource_version, may_be_behind=is_deletion):
            log.warning("the API server went back in time", kind=self.kind, version=header.resource_version)
            return False
        if found is not None:
            self._recording.record(found)
        elif is_deletion:
            self._recording.remove(header)
        return True

    def _take_watch_failure(self, failure: ApiFailure) -> None:
        """A list is needed where the watch has no way on from its version."""
        if failure.reason in _OUTDATED:
            self._cursor.expire()
        elif failure.reason is Reason.GARBLED:
            self._cursor.stumble(_MOST_GARBLED)
        elif failure.status is not None and failure.reason is not Reason.BUSY:
            # A server that is busy says nothing of the version, and a list is what it can use least.
            self._cursor.stumble(_MOST_FAILURES)

    def _take_failure(self, failure: ApiFailure) -> None:
        """The failure is counted and told; returns once it is time to try again, or to stop."""
        self._metrics.watch_failures.labels(self.kind.value, failure.reason.value).inc()
        most_wait = self._pace.most_wait
        match failure.reason:
            case Reason.GONE:
                self._cursor.expire()
            case Reason.NOT_SERVED:
                # Every server has an API for each kind, so this one is not ready: what is known stays.
                self._resource = None
                most_wait = self._pace.probe
            case _ if failure.reason in _LOST:
                self._is_suspicious = True
                if len(self._candidates) > 1:
                    self._resource = None
        self._complain(failure)
        backoff = self._relists if failure.reason in _OUTDATED else self._backoff
        self._wait(backoff.seconds(failure.retry_seconds, most_wait))

    def _take_bug(self, error: Exception) -> None:
        """As a failure; nobody knows what was recorded, so a list is needed."""
        log.error("a bug", kind=self.kind, where="".join(traceback.format_exception(error)))
        self._cursor.expire()
        self._take_failure(ApiFailure(Reason.BUG, repr(error)))

    def _complain(self, failure: ApiFailure) -> None:
        """Health knows; the log has the complaint once, and again where it is another one."""
        complaint = str(failure)
        if failure.reason is not Reason.GONE:
            self._health.fail(self._part, complaint)
        tell = log.debug if complaint == self._complaint else log.warning
        tell("the watch failed", kind=self.kind, reason=failure.reason, error=complaint)
        self._complaint = complaint

    def _has_recovered(self) -> None:
        self._connected.set(1)
        self._health.recover(self._part)
        if self._complaint:
            log.info("the watch is back", kind=self.kind)
            self._complaint = ""
