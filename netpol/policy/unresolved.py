"""Named ports of rules that no pod gives a number: they allow nothing, and nobody else would say so (M7)."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from itertools import chain, islice, takewhile

from netpol.model.labels import Labels, Operator, Selector
from netpol.model.networks import Address, Family, IPBlock, family_of
from netpol.model.notices import Notice
from netpol.model.objects import Pod
from netpol.model.policies import Direction, Peer, PodPeer, Policy, PolicyRule
from netpol.model.ports import NamedPort
from netpol.model.snapshot import Snapshot


def unresolved_ports(snapshot: Snapshot) -> tuple[Notice, ...]:
    """A notice for each named port of a rule that no pod which can be the destination gives a number (V7, B9).

    Of ingress that is a pod the policy selects, of egress one that the rule's peers mean. A policy that
    selects no pod under policy has no notice: there is nothing that its rules could allow.
    """
    destinations = _Destinations(snapshot)
    return tuple(
        _notice(policy, direction, rule, port)
        for policy in sorted(snapshot.policies.values(), key=str)
        for direction, rule, port in _named_ports(policy)
        if not destinations.resolve(port, policy, direction, rule) and destinations.exist_for(policy)
    )


def _named_ports(policy: Policy) -> Iterator[tuple[Direction, PolicyRule, NamedPort]]:
    """Each named port of the policy's rules, but for rules whose peers are nobody: their ports change nothing."""
    for direction in Direction:
        for rule in policy.rules(direction):
            if rule.peers != ():
                yield from ((direction, rule, port) for port in rule.ports or () if isinstance(port, NamedPort))


class _Workloads:
    """The labels of many pods, each once, for pods of one workload have the same; and found by any one of them."""

    def __init__(self) -> None:
        self._all: dict[frozenset[tuple[str, str]], Labels] = {}
        self._labelled: defaultdict[tuple[str, str], list[Labels]] = defaultdict(list)

    def add(self, labels: Labels) -> None:
        key = frozenset(labels.items())
        if key not in self._all:
            self._all[key] = labels
            for label in key:
                self._labelled[label].append(labels)

    def have(self, selector: Selector) -> bool:
        """True where the selector matches one of them."""
        return any(map(selector.matches, self._candidates(selector)))

    def _candidates(self, selector: Selector) -> Iterable[Labels]:
        """Those that can match: the ones with the first label that the selector names a value of."""
        for each in selector.requirements:
            if each.operator is Operator.IN:
                return chain.from_iterable(self._labelled.get((each.key, value), ()) for value in each.values)
        return self._all.values()


class _Destinations:
    """The pods that connections can go to, by what rules say of them."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._namespaces = snapshot.namespaces
        self._pods: defaultdict[str, _Workloads] = defaultdict(_Workloads)
        self._naming: defaultdict[NamedPort, defaultdict[str, _Workloads]] = defaultdict(
            lambda: defaultdict(_Workloads)
        )
        self._holding: defaultdict[NamedPort, list[Address]] = defaultdict(list)
        self._in_order = cache(self._sorted)
        for pod in snapshot.pods.values():
            if pod.actionable:
                self._add(pod)

    def _add(self, pod: Pod) -> None:
        self._pods[pod.namespace].add(pod.labels)
        for port in pod.ports:
            named = NamedPort(port.protocol, port.name)
            self._naming[named][pod.namespace].add(pod.labels)
            self._holding[named] += pod.addresses

    def exist_for(self, policy: Policy) -> bool:
        """True where the policy selects an actionable pod (G3)."""
        return policy.namespace in self._pods and self._pods[policy.namespace].have(policy.pods)

    def resolve(self, port: NamedPort, policy: Policy, direction: Direction, rule: PolicyRule) -> bool:
        """True where a pod that can be the destination under the policy's rule gives the port a number."""
        naming = self._naming.get(port)
        if naming is None:
            return False
        if direction is Direction.INGRESS:
            return policy.namespace in naming and naming[policy.namespace].have(policy.pods)
        return rule.peers is None or any(self._peer_resolves(port, peer, naming) for peer in rule.peers)

    def _peer_resolves(self, port: NamedPort, peer: Peer, naming: Mapping[str, _Workloads]) -> bool:
        if isinstance(peer, IPBlock):
            return _any_inside(peer, self._in_order(port, family_of(peer.network)))
        return any(naming[name].have(peer.pods) for name in self._namespaces_of(peer, naming))

    def _namespaces_of(self, peer: PodPeer, among: Collection[str]) -> Iterable[str]:
        """The namespaces of the peer; one that is not known matches no selector (X2)."""
        selector, known = peer.namespace_selector, self._namespaces
        if selector is None:
            return () if peer.namespace is None or peer.namespace not in among else (peer.namespace,)
        return (name for name in among if name in known and selector.matches(known[name].labels))

    def _sorted(self, port: NamedPort, family: Family) -> list[Address]:
        return sorted((address for address in self._holding[port] if family_of(address) is family), key=int)


def _any_inside(block: IPBlock, in_order: list[Address]) -> bool:
    """True where one of the addresses is in the block: of its family's they are, in their order."""
    start = bisect_left(in_order, int(block.network.network_address), key=int)
    inside = takewhile(block.network.__contains__, islice(in_order, start, None))
    return any(address in block for address in inside)


def _notice(policy: Policy, direction: Direction, rule: PolicyRule, port: NamedPort) -> Notice:
    if direction is Direction.INGRESS:
        whose = "that the policy selects "
    else:
        whose = "" if rule.peers is None else "that the rule's peers mean "
    return Notice(
        "NetworkPolicy",
        policy.namespace,
        policy.name,
        f"spec.{direction.value}[{rule.index}].ports",
        f"no pod {whose}has a port {port}; it allows nothing",
    )
