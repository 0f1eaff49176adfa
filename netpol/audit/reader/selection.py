"""Which records a person asks for."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from netpol.audit.record import Action, Cause, Party, PodParty, Record
from netpol.model.moments import Moment, parse_rfc3339


@dataclass(frozen=True, slots=True)
class PodName:
    """A pod as a person names it: in every namespace where none is said.

    >>> PodName.parse("shop/web-1"), PodName.parse("web-1")
    (PodName(name='web-1', namespace='shop'), PodName(name='web-1', namespace=None))
    """

    name: str
    namespace: str | None = None

    @classmethod
    def parse(cls, text: str) -> PodName:
        """The name that `NAME` or `NAMESPACE/NAME` says; ValueError where it says none."""
        match text.split("/"):
            case [name] if name:
                return cls(name)
            case [namespace, name] if namespace and name:
                return cls(name, namespace)
        raise ValueError(f"{text!r} is neither NAME nor NAMESPACE/NAME")

    def names(self, end: Party | None) -> bool:
        """True where the end is one of the pods that are meant."""
        return isinstance(end, PodParty) and end.name == self.name and self.namespace in (None, end.namespace)


@dataclass(frozen=True, slots=True)
class Selection:
    """What records must have in common with it; of each kind any one will do, and an empty kind asks nothing.

    Namespaces, pods and addresses are those of one end, be it subject or peer, and `peers` are pods
    or addresses of the other. Addresses and directions are as records write them.
    """

    since: Moment | None = None
    namespaces: frozenset[str] = frozenset()
    pods: frozenset[PodName] = frozenset()
    addresses: frozenset[str] = frozenset()
    peers: frozenset[PodName | str] = frozenset()
    actions: frozenset[Action] = frozenset()
    reasons: frozenset[Cause] = frozenset()
    directions: frozenset[str] = frozenset()

    def reaches(self, record: Record) -> bool:
        """True where the last packet of the record is not too old."""
        return self.since is None or parse_rfc3339(record.last) >= self.since

    def chooses(self, record: Record) -> bool:
        """True where the record is of the kind that is asked for, however old."""
        return (
            _within(record.action, self.actions)
            and _within(record.reason, self.reasons)
            and _within(record.direction, self.directions)
            and (self._is_between(record.subject, record.peer) or self._is_between(record.peer, record.subject))
        )

    def _is_between(self, one: Party | None, other: Party | None) -> bool:
        return (
            (not self.namespaces or (isinstance(one, PodParty) and one.namespace in self.namespaces))
            and (not self.pods or any(pod.names(one) for pod in self.pods))
            and (not self.addresses or (one is not None and one.ip in self.addresses))
            and (not self.peers or any(_is_named(other, peer) for peer in self.peers))
        )


def _is_named(end: Party | None, name: PodName | str) -> bool:
    return name.names(end) if isinstance(name, PodName) else end is not None and end.ip == name


def _within(value: object, wanted: AbstractSet[object]) -> bool:
    return not wanted or value in wanted
