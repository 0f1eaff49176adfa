"""The ruleset of one node, kept while the cluster changes.

It is what `compile_ruleset` makes of the same snapshot, at the cost of what facts touch:
every part is made by the functions that make it there, and made anew only where something
that it depends on has changed.

    facts -> snapshot -> moves of holders ----------------> sets of terms in use
                      -> relabelled namespaces ----------->
                      -> pods of this node to judge anew --> chains, lists, gates, trees, uses of terms
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard, TypeVar

from netpol.compiler.desired import Desired
from netpol.compiler.gates import cut_set, own_node, pod_cidrs, services_set
from netpol.compiler.judged import JudgedPod, is_local
from netpol.compiler.known_pods import KnownPods
from netpol.compiler.local_pods import LocalPods
from netpol.compiler.peer_sets import PeerSets
from netpol.compiler.ruleset import Ruleset
from netpol.model.change import Change
from netpol.model.facts import Fact, Key, Kind
from netpol.model.networks import Address, Family
from netpol.model.objects import Namespace, Node, Pod
from netpol.model.policies import Policy
from netpol.model.snapshot import ObjectName, Snapshot
from netpol.policy.holders import Holder
from netpol.policy.lookups import Lookups
from netpol.policy.node_index import NodeIndex
from netpol.policy.resolve import Resolver
from netpol.policy.verdict import Oracle
from netpol.settings import NodeOptions

Name = TypeVar("Name", bound=Hashable)
Value = TypeVar("Value")

_TYPES: dict[Kind, type] = {
    Kind.POD: Pod,
    Kind.NAMESPACE: Namespace,
    Kind.NODE: Node,
    Kind.NETWORK_POLICY: Policy,
}


@dataclass(frozen=True, slots=True)
class Touched:
    """What facts have changed of the desired state, by name; false where that is nothing.

    `chains` are the names of both families. `moved`: a set of peers that was there and still
    is has other members. `rejudged`: a pod of this node that was known is judged otherwise, or
    holds an address that another pod held. Living flows that are denied from then on have one
    of these two causes (G11).
    """

    sets: frozenset[str] = frozenset()
    chains: frozenset[str] = frozenset()
    moved: bool = False
    rejudged: bool = False

    def __bool__(self) -> bool:
        return bool(self.sets or self.chains or self.moved or self.rejudged)

    def __or__(self, other: Touched) -> Touched:
        """Both, one after the other."""
        return Touched(
            self.sets | other.sets,
            self.chains | other.chains,
            self.moved or other.moved,
            self.rejudged or other.rejudged,
        )


@dataclass(frozen=True, slots=True)
class _Batch:
    """What facts have changed of the objects, each object once."""

    pods: list[Change[Pod]] = field(default_factory=list)
    namespaces: list[Change[Namespace]] = field(default_factory=list)
    nodes: list[Change[Node]] = field(default_factory=list)
    policies: list[Change[Policy]] = field(default_factory=list)


class Engine:
    """What the kernel of node `options.name` should hold, by the facts applied so far.

    The node's own Node object is not forgotten, nor are its pod ranges: neither when it is
    deleted nor when it comes back without any, for else whoever deletes it opens the range to
    unknown addresses (G12). `snapshot` has it as it is kept.
    """

    def __init__(self, options: NodeOptions) -> None:
        self._options = options
        self._namespaces: dict[str, Namespace] = {}
        self._pods: dict[ObjectName, Pod] = {}
        self._nodes: dict[str, Node] = {}
        self._policies: dict[ObjectName, Policy] = {}
        self._snapshot = Snapshot(self._namespaces, self._pods, self._nodes, self._policies)
        self._resolver = Resolver(self._snapshot)
        self._node_index = NodeIndex()
        self._desired = Desired(options.families)
        self._peers = PeerSets(options.families, self._resolver, self._namespaces)
        self._local = LocalPods(options, self._resolver, self._peers, self._desired)
        self._known = KnownPods(options.families)
        self._desired.put_sets(self._known.replace_ranges(pod_cidrs(None, options), ()))
        self._desired.put_sets(map(cut_set, options.families))
        self._desired.put_sets(map(services_set, options.families))
        self._desired.changed()

    # --- what there is

    @property
    def node(self) -> str:
        """The name of the node."""
        return self._options.name

    @property
    def families(self) -> tuple[Family, ...]:
        """The families that have a table."""
        return self._options.families

    @property
    def pod_addresses(self) -> Collection[Address]:
        """The addresses that this node's pods hold, isolated or not."""
        return [address for holder in self._resolver.on_node(self.node) for address in holder.addresses]

    @property
    def snapshot(self) -> Snapshot:
        """The objects as they are: a view, which changes with the next facts."""
        return self._snapshot

    @property
    def holders(self) -> Mapping[Address, Pod]:
        """The pod that each address stands for (X1): a view, which changes with the next facts."""
        return self._resolver.pods_by_address

    def oracle(self) -> Oracle:
        """An oracle of the snapshot, which costs what it is asked; it is true until the next facts."""
        lookups = Lookups(self.holders, self._node_index.by_address, self._resolver.policies_by_namespace)
        return Oracle(self._snapshot, lookups)

    def ruleset(self) -> Ruleset:
        """All that is desired."""
        return self._desired.ruleset()

    def part(self, touched: Touched) -> Ruleset:
        """What is desired of these names, in a table for every family; the hooks never change, and are all there."""
        return self._desired.part(touched.sets, touched.chains)

    # --- what changes

    def apply(self, facts: Iterable[Fact]) -> Touched:
        """The facts are true, of several about one object the last; returns what of the desired state that changed.

        Facts of other kinds are passed over. TypeError, and nothing has changed, where a value is not of its kind.
        """
        batch = self._record(facts)
        moves = self._resolver.replace_pods(batch.pods)
        self._node_index.replace(batch.nodes, batch.pods)
        for policy in batch.policies:
            self._resolver.replace_policy(policy)
        self._peers.move(moves)
        for before, after in batch.namespaces:
            self._peers.relabel(_name_of(before, after), None if after is None else after.labels)
        self._desired.put_sets(self._known.move(moves))
        self._follow_own_node(batch.nodes)
        rejudged = self._local.judge(self._to_judge(batch, moves)) or self._is_passed_on(moves)
        peers = self._peers.settle()
        self._desired.drop_sets(peers.gone)
        self._desired.put_sets(peers.sets)
        sets, chains = self._desired.changed()
        return Touched(sets, chains, peers.moved, rejudged)

    def _record(self, facts: Iterable[Fact]) -> _Batch:
        latest = {fact.key: fact.value for fact in facts}
        for key, value in latest.items():
            _check(key, value)
        batch = _Batch()
        for key, value in latest.items():
            match key.kind, value:
                case Kind.POD, Pod() | None:
                    batch.pods.extend(_replace(self._pods, key.object_name, value))
                case Kind.NAMESPACE, Namespace() | None:
                    batch.namespaces.extend(_replace(self._namespaces, key.name, value))
                case Kind.NODE, Node() | None:
                    node = own_node(self._nodes.get(key.name), value) if key.name == self._options.name else value
                    batch.nodes.extend(_replace(self._nodes, key.name, node))
                case Kind.NETWORK_POLICY, Policy() | None:
                    batch.policies.extend(_replace(self._policies, key.object_name, value))
        return batch

    def _follow_own_node(self, nodes: Iterable[Change[Node]]) -> None:
        """The unknown addresses are those of the ranges that the node states now."""
        for before, after in nodes:
            if after is None or after.name != self._options.name:
                continue
            if before is None or before.pod_cidrs != after.pod_cidrs:
                ranges = pod_cidrs(after, self._options)
                self._desired.put_sets(self._known.replace_ranges(ranges, self._resolver.holders()))

    def _to_judge(self, batch: _Batch, moves: Iterable[Change[Holder]]) -> dict[ObjectName, Holder | None]:
        """The pods of this node whose programs may differ, as holders; None for one that is none here any more."""
        touched: list[JudgedPod] = []
        for before, after in batch.namespaces:
            if _judging(before) != _judging(after):
                touched += self._local.of_namespace(_name_of(before, after))
        for policy in batch.policies:
            states = [each for each in policy if each is not None]
            touched += (
                judged
                for judged in self._local.of_namespace(states[0].namespace)
                if any(each.pods.matches(judged.holder.pod.labels) for each in states)
            )
        found: dict[ObjectName, Holder | None] = {_own_name(each.holder.pod): each.holder for each in touched}
        for move in moves:
            for holder in filter(self._is_local, move):
                found[_own_name(holder.pod)] = move.after if self._is_local(move.after) else None
        return found

    def _is_local(self, holder: Holder | None) -> TypeGuard[Holder]:
        return holder is not None and is_local(holder, self._options)

    def _is_passed_on(self, moves: Sequence[Change[Holder]]) -> bool:
        """True where a pod of this node holds an address that another pod held before."""
        if len(moves) < 2:
            return False
        former = {address: move.before.pod for move in moves if move.before for address in move.before.addresses}
        return any(
            _own_name(former.get(address, move.after.pod)) != _own_name(move.after.pod)
            for move in moves
            if self._is_local(move.after)
            for address in move.after.addresses
        )


def _check(key: Key, value: object | None) -> None:
    expected = _TYPES.get(key.kind)
    if expected is not None and value is not None and not isinstance(value, expected):
        raise TypeError(f"{key} is no {type(value).__name__}")


def _replace(objects: dict[Name, Value], name: Name, value: Value | None) -> Collection[Change[Value]]:
    """The object is as given, None for gone; returns the change, if it is one."""
    before = objects.get(name)
    if before == value:
        return ()
    if value is None:
        del objects[name]
    else:
        objects[name] = value
    return (Change(before, value),)


def _name_of(*states: Namespace | None) -> str:
    """The name that the states of one namespace have."""
    return next(each.name for each in states if each is not None)


def _judging(namespace: Namespace | None) -> tuple[object, ...]:
    """What of the namespace the programs of its own pods depend on."""
    known = namespace or Namespace("")
    return known.default_deny, known.enforcement, known.audit, known.deny_action


def _own_name(pod: Pod) -> ObjectName:
    return pod.namespace, pod.name
