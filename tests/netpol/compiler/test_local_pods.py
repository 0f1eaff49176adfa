"""The chains, lists and gates of this node's pods, kept one pod at a time."""

from __future__ import annotations

from dataclasses import replace

from builders import address, namespace, pod, pods, policy, rule

from netpol.compiler import names
from netpol.compiler.desired import Desired
from netpol.compiler.local_pods import LocalPods
from netpol.compiler.names import PodChainKind
from netpol.compiler.peer_sets import PeerSets
from netpol.model.change import Change
from netpol.model.networks import Family
from netpol.model.objects import Pod
from netpol.model.policies import Direction, Policy
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import Enforcement, Extent
from netpol.policy.resolve import Resolver
from netpol.settings import NodeOptions

FOUR, IN = Family.IPV4, Direction.INGRESS
HERE = pod("x/here", "10.0.0.1", node="n1", labels="app=web")
OPEN_TO_WEB = policy("x/web", ingress=[rule([pods("app=web")], ["80/TCP"])])
CHAIN, GATE = names.pod_chain("x", "here", IN), names.isolated_set(IN, FOUR)
ENFORCED = names.enforced_set(FOUR)
NAME = ("x", "here")


class Node:
    """A node whose only pods are those of namespace x."""

    def __init__(self, *policies: Policy) -> None:
        options = NodeOptions("n1", families=(FOUR,))
        snapshot = Snapshot.of([namespace("x")], (), (), policies)
        self.resolver = Resolver(snapshot)
        self.desired = Desired(options.families)
        self.peers = PeerSets(options.families, self.resolver, snapshot.namespaces)
        self.local = LocalPods(options, self.resolver, self.peers, self.desired)
        self.changed()

    def changed(self) -> tuple[set[str], set[str]]:
        """The names of sets and of chains that have changed."""
        self.desired.put_sets(self.peers.settle().sets)
        sets, chains = self.desired.changed()
        return set(sets), set(chains)

    def pod(self, before: Pod | None, after: Pod | None) -> bool:
        (move,) = self.resolver.replace_pods([Change(before, after)])
        return self.local.judge({NAME: move.after})

    def policy(self, before: Policy | None, after: Policy | None) -> bool:
        self.resolver.replace_policy(Change(before, after))
        (judged,) = self.local.of_namespace("x")
        return self.local.judge({NAME: judged.holder})


def test_a_new_pod_gets_its_chain_its_list_and_a_way_to_them() -> None:
    node = Node(OPEN_TO_WEB)
    assert not node.pod(None, HERE)
    sets, chains = node.changed()
    assert chains == {CHAIN, names.judging_chain(IN)}
    found = node.desired.ruleset()
    assert found.sets[GATE].members == found.sets[ENFORCED].members == {address("10.0.0.1").packed}
    assert sets - {GATE, ENFORCED} == {
        each.name for each in found.sets.values() if each.name.startswith(("NETPOL-L", "NETPOL-P"))
    }
    assert len(sets) == 4


def test_a_pod_that_goes_leaves_nothing() -> None:
    node = Node(OPEN_TO_WEB)
    before = node.desired.ruleset()
    node.pod(None, HERE)
    node.changed()
    assert not node.pod(HERE, None)
    node.desired.drop_sets(node.peers.settle().gone)
    assert node.desired.ruleset() == before
    assert list(node.local.of_namespace("x")) == []


def test_what_a_program_does_not_look_at_changes_nothing() -> None:
    node = Node(OPEN_TO_WEB)
    node.pod(None, HERE)
    node.changed()
    assert not node.pod(HERE, replace(HERE, uid="another"))
    assert node.changed() == (set(), set())


def test_a_policy_judges_the_pod_otherwise_and_leaves_the_way_to_it() -> None:
    node = Node(OPEN_TO_WEB)
    node.pod(None, HERE)
    node.changed()
    assert node.policy(None, policy("x/more", ingress=[rule(None, ["81/TCP"])]))
    assert node.changed() == (set(), {CHAIN})


def test_a_pod_that_is_isolated_or_no_more_is_judged_otherwise() -> None:
    node = Node()
    node.pod(None, HERE)
    assert node.changed() == (set(), set())
    assert node.policy(None, policy("x/deny"))
    assert node.changed() == ({GATE, ENFORCED}, {CHAIN, names.judging_chain(IN)})
    assert node.policy(policy("x/deny"), None)
    assert node.changed() == ({GATE, ENFORCED}, {CHAIN, names.judging_chain(IN)})


def test_what_is_enforced_and_was_under_audit_takes_its_place_in_the_table_alone() -> None:
    """X16: but for who is not picked up in mid-stream, and a list that nobody else has."""
    audited = replace(OPEN_TO_WEB, enforcement=Enforcement.AUDIT)
    node = Node(audited)
    node.pod(None, HERE)
    sets, chains = node.changed()
    assert chains == {names.pod_chain("x", "here", IN, PodChainKind.AUDITING), names.judging_chain(IN)}
    assert node.desired.ruleset().sets[GATE].members == {address("10.0.0.1").packed}
    assert node.desired.ruleset().sets[ENFORCED].members == set()
    assert node.policy(audited, OPEN_TO_WEB)
    sets, chains = node.changed()
    assert chains == {names.pod_chain("x", "here", IN, PodChainKind.AUDITING), CHAIN, names.judging_chain(IN)}
    lists = {names.group_set("x", "here", IN, "TCP 80", extent) for extent in Extent}
    assert sets == {ENFORCED, *lists}
    assert node.desired.ruleset().sets.keys() & lists == {names.group_set("x", "here", IN, "TCP 80")}


def test_an_address_that_another_pod_takes_over_is_enforced_as_that_pod_is() -> None:
    node = Node(policy("x/web", "app=web"))
    node.pod(None, HERE)
    node.changed()
    for heir, members in (
        (replace(HERE, name="heir"), {address("10.0.0.1").packed}),
        (replace(HERE, labels={}), set()),
    ):
        (last,) = (each.holder.pod for each in node.local.of_namespace("x"))
        moves = node.resolver.replace_pods([Change(None, heir), Change(last, None)])
        node.local.judge({("x", heir.name): next(m.after for m in moves if m.after), ("x", last.name): None})
        assert node.desired.ruleset().sets[ENFORCED].members == members


def test_an_address_that_another_pod_takes_over_leads_to_that_ones_chain() -> None:
    """Whatever order the two are told of in."""
    node = Node(OPEN_TO_WEB)
    node.pod(None, HERE)
    heir = replace(HERE, name="heir")
    moves = node.resolver.replace_pods([Change(None, heir), Change(HERE, None)])
    node.local.judge({("x", "heir"): next(m.after for m in moves if m.after), NAME: None})
    tree = node.desired.ruleset().tables[FOUR].chains[names.judging_chain(IN)]
    assert [str(each.target) for each in tree] == [f"Goto(chain='{names.pod_chain('x', 'heir', IN)}')"]
