"""What is known of objects that were not wholly understood (M7): told once, counted while it lasts."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Protocol

from netpol.model.facts import Key, Kind
from netpol.model.notices import Notice
from netpol.telemetry.logs import Log
from netpol.telemetry.metrics import Metrics

log = Log("notices")


class NoticeSink(Protocol):
    """Who else wants to hear of a notice when it is new."""

    def offer(self, key: Key, uid: str, notice: Notice) -> None:
        """Take the notice, without waiting for anything."""


class NoticeBoard:
    """The notices of every object, as of now; for any number of threads."""

    def __init__(self, metrics: Metrics, sink: NoticeSink | None = None) -> None:
        self._metrics = metrics
        self._sink = sink
        self._lock = threading.Lock()
        self._known: dict[tuple[str, Key], tuple[str, tuple[Notice, ...]]] = {}
        self._counts: Counter[Kind] = Counter()

    def put(
        self, key: Key, uid: str, notices: tuple[Notice, ...], reader: str = "", words: str = "not understood"
    ) -> None:
        """What `reader` notices of the object is this, and nothing else; an object that is gone has none.

        The log has `words` for what they come to.

        A notice is told when it is new: to the log, and to the sink. One of another object
        that has taken the name, which its uid tells, is new too.
        """
        with self._lock:
            known_uid, known = self._known.pop((reader, key), (uid, ()))
            if notices:
                self._known[reader, key] = (uid, notices)
            if len(notices) != len(known):
                self._counts[key.kind] += len(notices) - len(known)
                self._metrics.notices.labels(key.kind.value).set(self._counts[key.kind])
        told = known if uid == known_uid else ()
        for notice in notices:
            if notice not in told:
                log.warning(words, object=key, field=notice.field, reason=notice.message)
                if self._sink is not None:
                    self._sink.offer(key, uid, notice)
