"""The pods of this node, each with its programs, and what leads packets to these."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from netpol.compiler.base_chains import base_chains
from netpol.compiler.desired import Desired
from netpol.compiler.dispatch import dispatch
from netpol.compiler.gates import enforced_set, isolated_set
from netpol.compiler.judged import JudgedPod
from netpol.compiler.peer_sets import PeerSets
from netpol.compiler.pod_chain import PodProgram
from netpol.model.change import Change
from netpol.model.networks import Address, Family
from netpol.model.policies import Direction
from netpol.model.snapshot import ObjectName
from netpol.policy.holders import Holder
from netpol.policy.resolve import Resolver
from netpol.settings import NodeOptions


class LocalPods:
    """Keeps the desired chains and lists of this node's pods, and the gates and trees in front of them."""

    def __init__(self, options: NodeOptions, resolver: Resolver, peers: PeerSets, desired: Desired) -> None:
        self._options = options
        self._resolver = resolver
        self._peers = peers
        self._desired = desired
        self._pods: dict[str, dict[str, JudgedPod]] = {}
        self._ways = {(d, f): _Way(d, f, desired) for d in Direction for f in options.families}
        self._enforced: dict[Family, frozenset[Address]] = {family: frozenset() for family in options.families}
        for family in options.families:
            desired.put_chains(family, base_chains(family, options.log_group))
        desired.put_sets(enforced_set(*each) for each in self._enforced.items())
        for way in self._ways.values():
            way.settle()

    def of_namespace(self, namespace: str) -> Collection[JudgedPod]:
        """The pods of this node that are in the namespace."""
        return self._pods.get(namespace, {}).values()

    def judge(self, holders: Mapping[ObjectName, Holder | None]) -> bool:
        """These pods are judged by what is known of them and their policies; None: no holder of this node.

        True where one that was there and still is has another program for a direction, or none.
        """
        states = (Change(self._find(name), self._judge(holder)) for name, holder in holders.items())
        changes = [change for change in states if change.before != change.after]
        for change in changes:
            self._keep(change)
            self._lists(change)
            self._chains(change)
        self._enforce(changes)
        for way in self._ways.values():
            way.lead(changes)
        return any(
            change.before.programs != change.after.programs for change in changes if change.before and change.after
        )

    def _find(self, name: ObjectName) -> JudgedPod | None:
        namespace, own = name
        return self._pods.get(namespace, {}).get(own)

    def _judge(self, holder: Holder | None) -> JudgedPod | None:
        return None if holder is None else JudgedPod.of(holder, self._resolver, self._options)

    def _keep(self, change: Change[JudgedPod]) -> None:
        if change.before is not None:
            pod = change.before.holder.pod
            own = self._pods[pod.namespace]
            del own[pod.name]
            if not own:
                del self._pods[pod.namespace]
        if change.after is not None:
            pod = change.after.holder.pod
            self._pods.setdefault(pod.namespace, {})[pod.name] = change.after

    def _lists(self, change: Change[JudgedPod]) -> None:
        """The pod's lists are desired as its programs name them, and their terms are in use."""
        former, new = _programs(change.before), _programs(change.after)
        for program in (each for each in former if each not in new):
            self._desired.drop_sets(group.name for group in program.groups)
            for group in program.groups:
                for term in group.terms:
                    self._peers.drop(term)
        for program in (each for each in new if each not in former):
            for group in program.groups:
                for term in group.terms:
                    self._peers.use(term)
                self._desired.put_sets((group.to_set(self._peers.set_names(group.terms)),))

    def _chains(self, change: Change[JudgedPod]) -> None:
        """Each family in which the pod has an address has its chains."""
        for family in self._options.families:
            if change.before is not None and change.before.holder.packed[family]:
                for program in _programs(change.before):
                    self._desired.drop_chains(family, program.chains)
            if change.after is not None and change.after.holder.packed[family]:
                for program in _programs(change.after):
                    self._desired.put_chains(family, program.chains)

    def _enforce(self, changes: Collection[Change[JudgedPod]]) -> None:
        """The addresses that anything enforced isolates are as the pods have them; one may be passed on."""
        for family, known in self._enforced.items():
            lost, gained = (
                {address for pod in pods if pod is not None for address in pod.enforced_addresses(family)}
                for pods in ([each.before for each in changes], [each.after for each in changes])
            )
            if lost != gained:
                self._enforced[family] = known - lost | gained
                self._desired.put_sets((enforced_set(family, self._enforced[family]),))


class _Way:
    """The way of one direction and family from the gate to the pods' chains."""

    def __init__(self, direction: Direction, family: Family, desired: Desired) -> None:
        self._direction = direction
        self._family = family
        self._desired = desired
        self._chains: dict[Address, str] = {}
        self._tree: Collection[str] = ()

    def lead(self, changes: Iterable[Change[JudgedPod]]) -> None:
        """The addresses of these pods lead to their chains; of two that pass one on, the later holder's counts."""
        pairs = [Change(self._of(change.before), self._of(change.after)) for change in changes]
        differing = [pair for pair in pairs if pair.before != pair.after]
        for pair in differing:
            for address in pair.before or ():
                del self._chains[address]
        for pair in differing:
            self._chains.update(pair.after or {})
        if differing:
            self.settle()

    def settle(self) -> None:
        """The gate and the tree are desired as the addresses are."""
        tree = dispatch(self._direction, self._chains)
        self._desired.drop_chains(self._family, (name for name in self._tree if name not in tree))
        self._desired.put_chains(self._family, tree)
        self._desired.put_sets((isolated_set(self._direction, self._family, self._chains),))
        self._tree = tree.keys()

    def _of(self, pod: JudgedPod | None) -> dict[Address, str]:
        return {} if pod is None else dict(pod.chains(self._direction, self._family))


def _programs(pod: JudgedPod | None) -> Collection[PodProgram]:
    return () if pod is None else tuple(pod.programs.values())
