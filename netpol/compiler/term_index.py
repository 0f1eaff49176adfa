"""Which terms a pod may be meant by, found without asking every term."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from netpol.compiler.terms import NamedDestination, Pods, PodTerm
from netpol.model.labels import Labels, Selector
from netpol.model.objects import Namespace, Pod
from netpol.model.policies import PodPeer
from netpol.model.ports import NamedPort
from netpol.policy.selector_index import SelectorIndex

Thing = TypeVar("Thing", bound=Hashable)


class _Scope(Generic[Thing]):
    """The namespaces that one selector means, and the things whose terms name it, by their selectors of pods."""

    def __init__(self, selector: Selector) -> None:
        self.selector = selector
        self.things: SelectorIndex[Thing] = SelectorIndex()


@dataclass(frozen=True, slots=True)
class Relabelling(Generic[Thing]):
    """What a change of a namespace does to its pods: the things that mean them from then on, and those no more.

    Each has the selector that its pods must match as well.
    """

    gained: Mapping[Thing, Selector]
    lost: Mapping[Thing, Selector]


class TermIndex(Generic[Thing]):
    """Things that have a term each, by what the term asks of a pod.

    Which scopes a namespace is in is remembered, so that a pod meets only those of its own.
    """

    def __init__(self, namespaces: Mapping[str, Namespace]) -> None:
        self._namespaces = namespaces
        self._within: dict[str | None, SelectorIndex[Thing]] = {}
        self._scopes: dict[Selector, _Scope[Thing]] = {}
        self._scopes_of: dict[str, list[_Scope[Thing]]] = {}
        self._by_port: dict[NamedPort, dict[Thing, None]] = {}

    def add(self, term: PodTerm, thing: Thing) -> None:
        """`thing` is found for the pods that the term means."""
        match term:
            case Pods(peer) | NamedDestination(PodPeer() as peer):
                self._named(peer).add(peer.pods, thing)
            case NamedDestination(port=port):
                self._by_port.setdefault(port, {})[thing] = None

    def remove(self, term: PodTerm, thing: Thing) -> None:
        """`thing`, which was added with this term, is found no more."""
        match term:
            case Pods(peer) | NamedDestination(PodPeer() as peer):
                named = self._named(peer)
                named.remove(peer.pods, thing)
                if not named:
                    self._drop(peer)
            case NamedDestination(port=port):
                things = self._by_port[port]
                del things[thing]
                if not things:
                    del self._by_port[port]

    def meaning(self, pod: Pod) -> Iterator[Thing]:
        """The things whose terms mean the pod, each once; those of a port's name alone may still contribute nothing.

        A namespace that was never told of is in no scope (X2).
        """
        within = self._within.get(pod.namespace)
        if within is not None:
            yield from within.matching(pod.labels)
        for scope in self._scopes_of.get(pod.namespace, ()):
            yield from scope.things.matching(pod.labels)
        if self._by_port:
            for port in {NamedPort(port.protocol, port.name) for port in pod.ports}:
                yield from self._by_port.get(port, ())

    def relabel(self, namespace: str, labels: Labels | None) -> Relabelling[Thing]:
        """The namespace has these labels; None where it is not known. Each scope's selector is asked once."""
        former = self._scopes_of.pop(namespace, [])
        scopes = [] if labels is None else [each for each in self._scopes.values() if each.selector.matches(labels)]
        if scopes:
            self._scopes_of[namespace] = scopes
        kept = set(former) & set(scopes)
        return Relabelling(_selectors(scopes, kept), _selectors(former, kept))

    def _named(self, peer: PodPeer) -> SelectorIndex[Thing]:
        """The things of the peers that name the same namespaces."""
        selector = peer.namespace_selector
        if selector is None:
            return self._within.setdefault(peer.namespace, SelectorIndex())
        scope = self._scopes.get(selector)
        if scope is None:
            scope = self._scopes[selector] = _Scope(selector)
            for name, namespace in self._namespaces.items():
                if selector.matches(namespace.labels):
                    self._scopes_of.setdefault(name, []).append(scope)
        return scope.things

    def _drop(self, peer: PodPeer) -> None:
        """Nothing is kept of the namespaces that the peer names."""
        if peer.namespace_selector is None:
            del self._within[peer.namespace]
            return
        scope = self._scopes.pop(peer.namespace_selector)
        for name in [name for name, scopes in self._scopes_of.items() if scope in scopes]:
            self._scopes_of[name].remove(scope)
            if not self._scopes_of[name]:
                del self._scopes_of[name]


def _selectors(scopes: list[_Scope[Thing]], kept: set[_Scope[Thing]]) -> dict[Thing, Selector]:
    return {
        thing: selector for scope in scopes if scope not in kept for thing, selector in scope.things.selectors().items()
    }
