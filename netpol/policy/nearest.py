"""The rule that came closest to allowing a refused connection, and what it lacked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from netpol.model.labels import Labels, Requirement, Selector
from netpol.model.networks import IPBlock
from netpol.model.policies import Peer, PodPeer, PolicyRule
from netpol.model.ports import NamedPort, PortEntry
from netpol.policy.judgement import Connection, End, Lack, NearestMiss, PodEnd, PolicyReference
from netpol.policy.matching import Namespaces, namespace_matches, peers_match, ports_match

_EASE = {lack: rank for rank, lack in enumerate(Lack)}


@dataclass(frozen=True, slots=True)
class _Shortfall:
    """What is missing for a match: the kinds, the number of single conditions, and how to say it.

    Many are compared, and one is put into words.
    """

    lacked: tuple[Lack, ...] = ()
    conditions: int = 0
    words: tuple[Callable[[], str], ...] = ()

    def __add__(self, other: _Shortfall) -> _Shortfall:
        return _Shortfall(self.lacked + other.lacked, self.conditions + other.conditions, self.words + other.words)

    @property
    def distance(self) -> tuple[int, tuple[int, ...], int]:
        """Fewest kinds first, then the kinds that are easiest to mend, then fewest conditions."""
        return len(self.lacked), tuple(_EASE[lack] for lack in self.lacked), self.conditions


def nearest_miss(
    rules: Iterable[tuple[PolicyReference, PolicyRule]], peer: End, connection: Connection, namespaces: Namespaces
) -> NearestMiss | None:
    """The rule that lacked least, the first of equals; None where there are no rules.

    None of `rules` may allow the connection.
    """
    candidates = [
        (_port_shortfall(rule, connection) + _peer_shortfall(rule, peer, namespaces), reference)
        for reference, rule in rules
    ]
    if not candidates:
        return None
    shortfall, reference = min(candidates, key=lambda candidate: candidate[0].distance)
    return NearestMiss(reference, shortfall.lacked, "; ".join(words() for words in shortfall.words))


def _port_shortfall(rule: PolicyRule, connection: Connection) -> _Shortfall:
    if ports_match(rule.ports, connection):
        return _Shortfall()
    entries = rule.ports
    if not entries:
        return _Shortfall((Lack.PORT,), 1, (lambda: "it allows no port at all",))
    return _Shortfall((Lack.PORT,), 1, (lambda: _port_words(entries, connection),))


def _port_words(entries: Iterable[PortEntry], connection: Connection) -> str:
    allowed = ", ".join(_entry_words(entry, connection.destination) for entry in entries)
    need = "" if connection.protocol.has_ports else ", which needs a rule without ports"
    return f"it allows {allowed}, not {connection.protocol_port}{need}"


def _entry_words(entry: PortEntry, destination: End) -> str:
    if not isinstance(entry, NamedPort):
        return str(entry)
    if not isinstance(destination, PodEnd):
        return f"{entry} (a name that only pods have)"
    numbers = sorted(destination.pod.numbers_of(entry.name, entry.protocol))
    meaning = " and ".join(map(str, numbers)) or "nothing"
    return f"{entry} (which is {meaning} on {destination})"


def _peer_shortfall(rule: PolicyRule, end: End, namespaces: Namespaces) -> _Shortfall:
    """What the closest of the rule's peers lacks."""
    if peers_match(rule.peers, end, namespaces):
        return _Shortfall()
    if not rule.peers:
        return _Shortfall((Lack.PEER,), 1, (lambda: "it allows no peer at all",))
    who = "it wants" if len(rule.peers) == 1 else f"the closest of its {len(rule.peers)} peers wants"
    shortfalls = [_shortfall_of(peer, end, who, namespaces) for peer in rule.peers]
    return min(shortfalls, key=lambda shortfall: shortfall.distance)


def _shortfall_of(peer: Peer, end: End, who: str, namespaces: Namespaces) -> _Shortfall:
    if isinstance(peer, IPBlock):
        return _Shortfall((Lack.ADDRESS,), 1, (lambda: f"{who} an address in {peer}, and {_address_words(end)}",))
    if not isinstance(end, PodEnd):
        return _Shortfall((Lack.ADDRESS,), 1, (lambda: f"{who} {peer}, and {end} is no pod",))
    return _pod_shortfall(peer, end, who) + _namespace_shortfall(peer, end, who, namespaces)


def _address_words(end: End) -> str:
    if end.address is None:
        return f"no address of {end} is known"
    return f"{end} is not" if str(end) == str(end.address) else f"{end} has {end.address}"


def _pod_shortfall(peer: PodPeer, end: PodEnd, who: str) -> _Shortfall:
    unmet, labels = _unmet(peer.pods, end.pod.labels), end.pod.labels
    if not unmet:
        return _Shortfall()
    return _Shortfall(
        (Lack.PEER_LABEL,),
        len(unmet),
        (lambda: f"{who} pods with {_wanted(unmet)}, and {end} has {_had(unmet, labels)}",),
    )


def _namespace_shortfall(peer: PodPeer, end: PodEnd, who: str, namespaces: Namespaces) -> _Shortfall:
    if namespace_matches(peer, end, namespaces):
        return _Shortfall()
    place = end.pod.namespace
    if peer.namespace_selector is None:
        return _of_namespace(1, lambda: f"{who} pods of namespace {peer.namespace}, and {end} is in {place}")
    if place not in namespaces:
        return _of_namespace(1, lambda: f"{who} a namespace with labels, and no namespace {place} is known")
    labels = namespaces[place].labels
    unmet = _unmet(peer.namespace_selector, labels)
    return _of_namespace(
        len(unmet), lambda: f"{who} namespaces with {_wanted(unmet)}, and {place} has {_had(unmet, labels)}"
    )


def _of_namespace(conditions: int, words: Callable[[], str]) -> _Shortfall:
    return _Shortfall((Lack.NAMESPACE_LABEL,), conditions, (words,))


def _unmet(selector: Selector, labels: Labels) -> list[Requirement]:
    """The requirements that do not hold."""
    return [requirement for requirement in selector.requirements if not requirement.matches(labels)]


def _wanted(unmet: Iterable[Requirement]) -> str:
    return ",".join(map(str, unmet))


def _had(unmet: Iterable[Requirement], labels: Labels) -> str:
    """What the object has instead."""
    keys = dict.fromkeys(requirement.key for requirement in unmet)
    return ", ".join(f"{key}={labels[key]}" if key in labels else f"no {key}" for key in keys)
