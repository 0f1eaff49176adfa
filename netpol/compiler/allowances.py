"""What the policies let one pod receive or send, in the fewest kernel rules.

An allowance is a protocol with a set of ports, and the terms that may use them. Every
term stands in one allowance of each protocol, so a chain has one rule for each distinct
set of ports, however many policies name them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from netpol.compiler.terms import NamedDestination, Term, peer_terms
from netpol.model.objects import Pod
from netpol.model.policies import Direction, PolicyRule
from netpol.model.ports import ALL_PORTS, NamedPort, PortEntry, PortRange, Protocol
from netpol.policy.resolve import Standing


@dataclass(frozen=True, slots=True)
class Allowance:
    """Terms that may reach (or be reached on) these ports.

    `protocol` None is every protocol, and `ports` then empty (G10). `terms` None is anyone;
    otherwise it maps each term to the rules that name it, as a person writes them.
    """

    protocol: Protocol | None
    ports: tuple[PortRange, ...]
    terms: dict[Term, tuple[str, ...]] | None

    @property
    def identity(self) -> str:
        """The protocol and the ports, as text.

        >>> Allowance(Protocol.TCP, (PortRange(80, 80), PortRange(90, 99)), None).identity
        'TCP 80,90-99'
        """
        if self.protocol is None:
            return "everything" if self.terms is None else "by peer alone"
        ports = "every port" if self.ports == (ALL_PORTS,) else ",".join(map(str, self.ports))
        return f"{self.protocol.value} {ports}"


@dataclass(frozen=True, slots=True)
class _Grant:
    """One cell of a rule: a term (None: anyone) on some ports (None: every protocol)."""

    term: Term | None
    protocol: Protocol | None
    ports: PortRange | None
    rule: str


def allowances(pod: Pod, direction: Direction, standing: Standing) -> tuple[Allowance, ...]:
    """The pod's allowances for `direction`, those without ports first, in a fixed order."""
    grants = [
        grant
        for policy in standing.policies
        for rule in policy.rules(direction)
        for grant in _grants(rule, f"{policy}#{rule.index}", pod, direction)
    ]
    if any(grant.term is None and grant.protocol is None for grant in grants):
        return (Allowance(None, (), None),)
    return (*_without_ports(grants), *_with_ports(grants))


def _grants(rule: PolicyRule, label: str, pod: Pod, direction: Direction) -> Iterator[_Grant]:
    terms: Iterable[Term | None] = (None,) if rule.peers is None else tuple(peer_terms(rule.peers))
    if rule.ports is None:
        yield from (_Grant(term, None, None, label) for term in terms)
        return
    for entry in rule.ports:
        if isinstance(entry, NamedPort) and direction is Direction.EGRESS:
            peers = (None,) if rule.peers is None else rule.peers
            yield from (_Grant(NamedDestination(peer, entry), None, None, label) for peer in peers)
        else:
            for ports in _own_numbers(entry, pod):
                yield from (_Grant(term, entry.protocol, ports, label) for term in terms)


def _own_numbers(entry: PortEntry, pod: Pod) -> Iterable[PortRange]:
    """The entry's ports by number; a name is resolved on the pod itself, the destination of ingress (V7)."""
    if isinstance(entry, NamedPort):
        return (PortRange(number, number) for number in sorted(pod.numbers_of(entry.name, entry.protocol)))
    return (entry.ports,)


def _without_ports(grants: Iterable[_Grant]) -> Iterator[Allowance]:
    """The allowance of every protocol; it also holds the named destinations, whose ports are in their sets."""
    rules: dict[Term, list[str]] = defaultdict(list)
    for grant in grants:
        if grant.protocol is None and grant.term is not None:
            rules[grant.term].append(grant.rule)
    if rules:
        yield Allowance(None, (), _frozen(rules))


def _with_ports(grants: Iterable[_Grant]) -> Iterator[Allowance]:
    ports: dict[tuple[Protocol, Term | None], set[PortRange]] = defaultdict(set)
    rules: dict[tuple[Protocol, Term | None], list[str]] = defaultdict(list)
    for grant in grants:
        if grant.protocol is not None and grant.ports is not None:
            ports[grant.protocol, grant.term].add(grant.ports)
            rules[grant.protocol, grant.term].append(grant.rule)
    terms: dict[tuple[Protocol, tuple[PortRange, ...]], dict[Term | None, list[str]]] = defaultdict(dict)
    for (protocol, term), ranges in ports.items():
        terms[protocol, merged(ranges)][term] = rules[protocol, term]
    for protocol, union in sorted(terms, key=lambda key: (key[0].value, key[1])):
        users = terms[protocol, union]
        named = {term: labels for term, labels in users.items() if term is not None}
        yield Allowance(protocol, union, None if None in users else _frozen(named))


def _frozen(rules: dict[Term, list[str]]) -> dict[Term, tuple[str, ...]]:
    return {term: tuple(sorted(set(labels))) for term, labels in rules.items()}


def merged(ranges: Iterable[PortRange]) -> tuple[PortRange, ...]:
    """The same ports in the fewest ranges, in order.

    >>> [str(r) for r in merged([PortRange(90, 99), PortRange(80, 80), PortRange(81, 92)])]
    ['80-99']
    """
    union: list[PortRange] = []
    for ports in sorted(ranges):
        if union and ports.first <= union[-1].last + 1:
            union[-1] = PortRange(union[-1].first, max(union[-1].last, ports.last))
        else:
            union.append(ports)
    return tuple(union)
