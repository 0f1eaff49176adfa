"""One pod's chain for one direction, and the lists of sets it matches.

A packet that a rule matches returns: this side allows it, and what stands behind still
has its say. What no rule matches is logged under the chain's name and refused; where all
that isolates the pod is under audit it is logged under another name, and returns too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from netpol.compiler import log_points, names
from netpol.compiler.allowances import Allowance, allowances
from netpol.compiler.names import PodChainKind
from netpol.compiler.ruleset import (
    Action,
    FirstPacket,
    Goto,
    InSet,
    IpSet,
    Log,
    Match,
    OfProtocol,
    Reject,
    Rule,
    SetReference,
    SetType,
    Side,
    Target,
    ToPorts,
)
from netpol.compiler.terms import NamedDestination, Term
from netpol.model.objects import Pod
from netpol.model.policies import Direction
from netpol.model.ports import ALL_PORTS, PortRange, Protocol
from netpol.model.treatment import AuditLevel, DenyAction, Enforcement, Extent, Treatment
from netpol.policy.resolve import Standing

MULTIPORT_SLOTS = 15
"""What one multiport match holds; a range takes two."""


@dataclass(frozen=True, slots=True)
class PodProgram:
    """A pod's part of a direction: its chains, what they match, and the shared terms behind that.

    Packets enter at `chain`. The tiers of C1 stand in it in their order. Under `Enforcement.AUDIT`
    it refuses nothing (X16).
    """

    direction: Direction
    enforcement: Enforcement
    chain: str
    chains: Mapping[str, tuple[Rule, ...]]
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


def enforcing_program(
    pod: Pod, direction: Direction, standing: Standing, treatment: Treatment, log_group: int
) -> PodProgram:
    """The chains that judge `direction` of a pod which enforced policies isolate; they are the same for both families.

    What a rule allows goes on to a chain of its own where that is logged too, once a connection (X17).
    """
    chain = names.pod_chain(pod.namespace, pod.name, direction)
    allowing = names.pod_chain(pod.namespace, pod.name, direction, PodChainKind.ALLOWING)
    logs_allowed = treatment.audit is AuditLevel.ALLOWS
    rules, groups = _allowing(
        pod, direction, standing, Extent.ENFORCED, Goto(allowing) if logs_allowed else Action.RETURN
    )
    refused = f"{direction.value} of {pod}: refused"
    logs = () if treatment.audit is AuditLevel.NONE else (_log(chain, log_group, refused),)
    refusals = (Rule(matches, target, refused) for matches, target in _REFUSALS[treatment.deny_action])
    chains = {chain: (*rules, *logs, *refusals)}
    if logs_allowed:
        chains[allowing] = (_log(allowing, log_group, f"{direction.value} of {pod}: allowed", FirstPacket()),)
    return PodProgram(direction, Enforcement.ENFORCE, chain, chains, groups)


_REFUSALS: Mapping[DenyAction, tuple[tuple[tuple[Match, ...], Target], ...]] = {
    DenyAction.DROP: (((), Action.DROP),),
    DenyAction.REJECT: (((OfProtocol(Protocol.TCP),), Reject.RESET), ((), Reject.UNREACHABLE)),
}


def auditing_program(pod: Pod, direction: Direction, standing: Standing, log_group: int) -> PodProgram:
    """The chain that tells what all policies together would refuse of a pod that no enforced one isolates (X16).

    What they would allow is not logged: a rule under audit allows nothing (X17).
    """
    chain = names.pod_chain(pod.namespace, pod.name, direction, PodChainKind.AUDITING)
    rules, groups = _allowing(pod, direction, standing, Extent.ALL, Action.RETURN)
    chains = {chain: (*rules, _log(chain, log_group, f"{direction.value} of {pod}: would be refused"))}
    return PodProgram(direction, Enforcement.AUDIT, chain, chains, groups)


def _allowing(
    pod: Pod, direction: Direction, standing: Standing, extent: Extent, passing: Target
) -> tuple[tuple[Rule, ...], tuple[Group, ...]]:
    """The rules that lead what the policies of this extent allow to `passing`, and their lists."""
    rules: list[Rule] = []
    groups: list[Group] = []
    for allowance in allowances(pod, direction, standing):
        comment = f"{direction.value} of {pod}: {allowance.identity}"
        peers: tuple[Match, ...] = ()
        if allowance.terms is not None:
            name = names.group_set(pod.namespace, pod.name, direction, allowance.identity, extent)
            groups.append(Group(name, allowance.terms, comment))
            peers = (InSet(name, _sides(direction, allowance.terms)),)
        rules += (Rule((*ports, *peers), passing, comment) for ports in _port_matches(allowance))
    return tuple(rules), tuple(groups)


def _log(chain: str, log_group: int, comment: str, *matches: Match) -> Rule:
    return Rule(matches, Log(log_group, log_points.prefix(chain)), comment)


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
