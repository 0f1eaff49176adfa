"""The whole ruleset of one node, from a snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from netpol.compiler.base_chains import base_chains, hooks
from netpol.compiler.dispatch import dispatch
from netpol.compiler.gates import PodRange, cut_set, enforced_set, isolated_set, pod_cidrs, services_set
from netpol.compiler.judged import JudgedPod, chains_by_address, is_local
from netpol.compiler.ruleset import IpSet, Ruleset, Table
from netpol.compiler.terms import Term, term_sets
from netpol.model.networks import Family, Network
from netpol.model.policies import Direction
from netpol.model.snapshot import Snapshot
from netpol.policy.resolve import Resolver
from netpol.settings import NodeOptions


def compile_ruleset(snapshot: Snapshot, options: NodeOptions) -> Ruleset:
    """What the kernel of node `options.name` should hold for this snapshot, and nothing of other nodes."""
    resolver = Resolver(snapshot)
    pods = tuple(
        JudgedPod.of(holder, resolver, options)
        for holder in resolver.on_node(options.name)
        if is_local(holder, options)
    )
    sets = [
        *_peer_sets(pods, options.families, resolver),
        *_isolated_sets(pods, options.families),
        *_unknown_sets(pod_cidrs(snapshot.nodes.get(options.name), options), resolver, options.families),
        *map(cut_set, options.families),
        *map(services_set, options.families),
    ]
    return Ruleset(
        {each.name: each for each in sets},
        {family: _table(family, pods, options.log_group) for family in options.families},
    )


def _peer_sets(pods: Iterable[JudgedPod], families: Sequence[Family], resolver: Resolver) -> Iterator[IpSet]:
    """The pods' lists, and every term that one of them holds, once."""
    groups = [group for pod in pods for program in pod.programs.values() for group in program.groups]
    set_names: dict[Term, tuple[str, ...]] = {}
    for term in dict.fromkeys(term for group in groups for term in group.terms):
        sets = term_sets(term, families, resolver)
        set_names[term] = tuple(each.name for each in sets)
        yield from sets
    for group in groups:
        yield group.to_set(set_names)


def _isolated_sets(pods: Sequence[JudgedPod], families: Iterable[Family]) -> Iterator[IpSet]:
    for family in families:
        for direction in Direction:
            yield isolated_set(direction, family, chains_by_address(pods, direction, family))
        yield enforced_set(family, (address for pod in pods for address in pod.enforced_addresses(family)))


def _unknown_sets(cidrs: Sequence[Network], resolver: Resolver, families: Iterable[Family]) -> Iterator[IpSet]:
    """The known pods are those of the whole cluster, wherever they run (G12)."""
    for family in families:
        here = PodRange.of(family, cidrs)
        yield here.unknown_set(
            packed for holder in resolver.holders() for packed in holder.packed[family] if packed in here
        )


def _table(family: Family, pods: Sequence[JudgedPod], log_group: int) -> Table:
    chains = base_chains(family, log_group)
    for direction in Direction:
        chains |= dispatch(direction, chains_by_address(pods, direction, family))
    for pod in pods:
        if pod.holder.packed[family]:
            for program in pod.programs.values():
                chains |= program.chains
    return Table(hooks(), chains)
