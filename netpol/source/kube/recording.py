"""What the bus, the notices and the gauges are told of one kind's objects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from netpol.bus import Bus
from netpol.model.facts import Fact, Key, Kind
from netpol.model.notices import Notice
from netpol.model.snapshot import ObjectName
from netpol.source.kube.objects import Found
from netpol.source.kube.pages import Header
from netpol.telemetry.metrics import Metrics


class Notices(Protocol):
    """What is used of the notice board."""

    def put(self, key: Key, uid: str, notices: tuple[Notice, ...]) -> None:
        """What is noticed of the object is this, and nothing else."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What counts for an object; `value` None where nothing does."""

    uid: str
    value: object | None
    is_understood: bool


class Recording:
    """The objects of one kind as they are recorded; an object not understood keeps its last good value."""

    def __init__(self, kind: Kind, bus: Bus, notices: Notices, metrics: Metrics) -> None:
        self._kind = kind
        self._bus = bus
        self._notices = notices
        self._known: dict[ObjectName, _Known] = {}
        self._noticed: dict[ObjectName, str] = {}
        self._unreadable: set[ObjectName] = set()
        self._objects = metrics.objects.labels(kind.value)
        self._unreadable_objects = metrics.unreadable_objects.labels(kind.value)

    def __len__(self) -> int:
        """How many objects the server has, as far as is known; those not understood are among them."""
        return len(self._known)

    def replace(self, found: Iterable[Found]) -> int:
        """The bus has this complete list; returns how many objects changed."""
        known = {each.key.object_name: self._counting(each) for each in found}
        for name in self._noticed.keys() - known.keys():
            self._clear(name)
        self._unreadable &= known.keys()
        self._known = known
        self._count()
        return self._bus.replace(
            self._kind, {name: each.value for name, each in known.items() if each.value is not None}
        )

    def record(self, found: Found) -> None:
        """The bus has the object as it is now."""
        known = self._counting(found)
        self._known[found.key.object_name] = known
        self._count()
        self._bus.record(Fact(found.key, known.value))

    def remove(self, header: Header) -> None:
        """The bus has no such object; no news where it had none, or has another one that was given the name since."""
        name = header.namespace, header.name
        known = self._known.get(name)
        uid = header.uid if isinstance(header.uid, str) else ""
        if known is not None and known.uid and uid and known.uid != uid:
            return
        self._known.pop(name, None)
        self._unreadable.discard(name)
        self._clear(name)
        self._count()
        self._bus.record(Fact(Key(self._kind, *name), None))

    def _counting(self, found: Found) -> _Known:
        name = found.key.object_name
        if found.notices or name in self._noticed:
            self._notices.put(found.key, found.uid, found.notices)
            self._noticed[name] = found.uid
            if not found.notices:
                del self._noticed[name]
        if found.is_understood:
            self._unreadable.discard(name)
            return _Known(found.uid, found.value, is_understood=True)
        self._unreadable.add(name)
        last = self._known.get(name)
        if last is not None and last.is_understood and last.uid == found.uid:
            return last
        return _Known(found.uid, found.value, is_understood=False)

    def _clear(self, name: ObjectName) -> None:
        uid = self._noticed.pop(name, None)
        if uid is not None:
            self._notices.put(Key(self._kind, *name), uid, ())

    def _count(self) -> None:
        self._objects.set(len(self._known))
        self._unreadable_objects.set(len(self._unreadable))
