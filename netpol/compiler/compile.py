"""The whole ruleset of one node, from a snapshot."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from netpol.compiler import names
from netpol.compiler.base_chains import base_chains, hooks
from netpol.compiler.dispatch import dispatch
from netpol.compiler.pod_chain import PodProgram, pod_program
from netpol.compiler.ruleset import IpSet, NetworkMember, Ruleset, SetType, Table
from netpol.compiler.terms import Term, halved, term_sets
from netpol.model.networks import Address, Family, Network, family_of
from netpol.model.policies import Direction
from netpol.model.snapshot import Snapshot
from netpol.policy.resolve import Holder, Resolver
from netpol.settings import NodeOptions

CUT_SECONDS = 300
"""How long the answering side of a UDP flow that was cut has to be silent until what it sends opens a flow of its own.

It is more than the 120 seconds for which conntrack by default takes an answered flow for a living one.
"""


def compile_ruleset(snapshot: Snapshot, options: NodeOptions) -> Ruleset:
    """What the kernel of node `options.name` should hold for this snapshot, and nothing of other nodes."""
    resolver = Resolver(snapshot)
    local = tuple(
        holder
        for holder in resolver.on_node(options.name)
        if any(family_of(address) in options.families for address in holder.addresses)
    )
    programs = [
        (holder, pod_program(holder.pod, direction, standing, options.log_group))
        for holder in local
        for standing in (resolver.standing(holder.pod),)
        for direction in Direction
        if direction in standing.isolated
    ]
    sets = [
        *_peer_sets((program for _, program in programs), options.families, resolver),
        *_isolated_sets(programs, options.families),
        *_unknown_sets(_pod_cidrs(snapshot, options), resolver.holders(), options.families),
        *map(_cut_set, options.families),
    ]
    return Ruleset(
        {each.name: each for each in sets},
        {family: _table(family, programs, options.log_group) for family in options.families},
    )


Programs = Sequence[tuple[Holder, PodProgram]]


def _peer_sets(programs: Iterable[PodProgram], families: Iterable[Family], resolver: Resolver) -> Iterator[IpSet]:
    """The pods' lists, and every term that one of them holds, once."""
    families = tuple(families)
    groups = [group for program in programs for group in program.groups]
    set_names: dict[Term, tuple[str, ...]] = {}
    for term in dict.fromkeys(term for group in groups for term in group.terms):
        sets = term_sets(term, families, resolver)
        set_names[term] = tuple(each.name for each in sets)
        yield from sets
    for group in groups:
        yield group.to_set(set_names)


def _isolated_sets(programs: Programs, families: Iterable[Family]) -> Iterator[IpSet]:
    for family in families:
        for direction in Direction:
            members = {address.packed for address in _judged(programs, direction, family)}
            meaning = f"pods of this node isolated for {direction.value}"
            name = names.isolated_set(direction, family)
            yield IpSet(name, SetType.ADDRESSES, family, frozenset(members), meaning)


def _judged(programs: Programs, direction: Direction, family: Family) -> dict[Address, str]:
    """The chain of each isolated address of the family."""
    return {
        address: program.chain
        for holder, program in programs
        if program.direction is direction
        for address in holder.addresses
        if family_of(address) is family
    }


def _pod_cidrs(snapshot: Snapshot, options: NodeOptions) -> tuple[Network, ...]:
    """The node's pod ranges: those it states, and the option's where it states none of a family."""
    if options.fail_open:
        return ()
    node = snapshot.nodes.get(options.name)
    stated = () if node is None else node.pod_cidrs
    families = {family_of(cidr) for cidr in stated}
    return (*stated, *(cidr for cidr in options.pod_cidrs if family_of(cidr) not in families))


def _unknown_sets(
    pod_cidrs: Iterable[Network], holders: Collection[Holder], families: Iterable[Family]
) -> Iterator[IpSet]:
    """The pod range with the known pods carved out, wherever they run (G12); empty where the range is not known."""
    for family in families:
        ranges = [n for cidr in pod_cidrs if family_of(cidr) is family for n in halved(cidr)]
        known = {
            (address.packed, family.bits)
            for holder in holders
            for address in holder.addresses
            if any(address in n for n in ranges)
        }
        whole = {(n.network_address.packed, n.prefixlen) for n in ranges} - known
        members = {NetworkMember(*n) for n in whole} | {NetworkMember(*n, nomatch=True) for n in known}
        meaning = "addresses of this node's pod range that no known pod has"
        yield IpSet(names.unknown_set(family), SetType.NETWORKS, family, frozenset(members), meaning)


def _cut_set(family: Family) -> IpSet:
    meaning = "who answered UDP flows that were cut, and whom"
    kind = SetType.ADDRESS_PORT_ADDRESSES
    return IpSet(names.cut_set(family), kind, family, meaning=meaning, timeout_seconds=CUT_SECONDS)


def _table(family: Family, programs: Programs, log_group: int) -> Table:
    chains = base_chains(family, log_group)
    for direction in Direction:
        judged = _judged(programs, direction, family)
        chains |= dispatch(direction, judged)
        reached = set(judged.values())
        chains |= {program.chain: program.rules for _, program in programs if program.chain in reached}
    return Table(hooks(), chains)
