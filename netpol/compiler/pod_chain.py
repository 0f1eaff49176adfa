"""One pod's chain for one direction, and the lists of sets it matches.

A packet that a rule matches returns: this side allows it, and what stands behind still
has its say. What no rule matches is logged under the chain's name and dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from netpol.compiler import log_points, names
from netpol.compiler.allowances import Allowance, allowances
from netpol.compiler.ruleset import (
    Action,
    InSet,
    IpSet,
    Log,
    Match,
    OfProtocol,
    Rule,
    SetReference,
    SetType,
    Side,
    ToPorts,
)
from netpol.compiler.terms import NamedDestination, Term
from netpol.model.objects import Pod
from netpol.model.policies import Direction
from netpol.model.ports import ALL_PORTS, PortRange
from netpol.policy.resolve import Standing

MULTIPORT_SLOTS = 15
"""What one multiport match holds; a range takes two."""


@dataclass(frozen=True, slots=True)
class PodProgram:
    """A pod's part of a direction: its chain, what it matches, and the shared terms behind that.

    The tiers of C1 stand in `rules` in their order; only NetworkPolicies make any so far.
    """

    direction: Direction
    chain: str
    rules: tuple[Rule, ...]
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """A pod's own list of shared sets; `terms` maps each to the rules that name it."""

    name: str
    terms: dict[Term, tuple[str, ...]]
    meaning: str

    def to_set(self, set_names: dict[Term, tuple[str, ...]]) -> IpSet:
        """The list:set of this group, given the names of each term's sets."""
        members = {
            SetReference(name, ", ".join(labels)[:255])
            for term, labels in self.terms.items()
            for name in set_names[term]
        }
        return IpSet(self.name, SetType.SETS, None, frozenset(members), meaning=self.meaning)


def pod_program(pod: Pod, direction: Direction, standing: Standing, log_group: int) -> PodProgram:
    """The chain that judges `direction` of an isolated pod; it is the same for both families."""
    chain = names.pod_chain(pod.namespace, pod.name, direction)
    rules: list[Rule] = []
    groups: list[Group] = []
    for allowance in allowances(pod, direction, standing):
        comment = f"{direction.value} of {pod}: {allowance.identity}"
        peers: tuple[Match, ...] = ()
        if allowance.terms is not None:
            name = names.group_set(pod.namespace, pod.name, direction, allowance.identity)
            groups.append(Group(name, allowance.terms, comment))
            peers = (InSet(name, _sides(direction, allowance.terms)),)
        rules += (Rule((*ports, *peers), Action.RETURN, comment) for ports in _port_matches(allowance))
    refusal = f"{direction.value} of {pod}: refused"
    rules.append(Rule((), Log(log_group, log_points.prefix(chain)), refusal))
    rules.append(Rule((), Action.DROP, refusal))
    return PodProgram(direction, chain, tuple(rules), tuple(groups))


def _sides(direction: Direction, terms: Iterable[Term]) -> tuple[Side, ...]:
    """The peer's address; and the port, where the list holds sets of address and port.

    A set of addresses in the same list only looks at the first side.
    """
    if direction is Direction.INGRESS:
        return (Side.SOURCE,)
    has_ports = any(isinstance(term, NamedDestination) for term in terms)
    return (Side.DESTINATION, Side.DESTINATION) if has_ports else (Side.DESTINATION,)


def _port_matches(allowance: Allowance) -> Iterator[tuple[Match, ...]]:
    """The matches for the allowance's ports, as many times as one rule cannot hold them."""
    if allowance.protocol is None:
        yield ()
    elif allowance.ports == (ALL_PORTS,):
        yield (OfProtocol(allowance.protocol),)
    else:
        for chunk in _chunks(allowance.ports):
            yield OfProtocol(allowance.protocol), ToPorts(chunk)


def _chunks(ports: Iterable[PortRange]) -> Iterator[tuple[PortRange, ...]]:
    """The ports, of which there is at least one, by as many as one multiport match holds."""
    chunk: list[PortRange] = []
    slots = 0
    for each in ports:
        size = 1 if each.first == each.last else 2
        if slots + size > MULTIPORT_SLOTS:
            yield tuple(chunk)
            chunk, slots = [], 0
        chunk.append(each)
        slots += size
    yield tuple(chunk)
