"""The sets of terms in use while pods and namespaces change."""

from __future__ import annotations

from dataclasses import replace

from builders import address, namespace, pod, pods

from netpol.compiler.peer_sets import PeerSets, SetChanges
from netpol.compiler.ruleset import Member
from netpol.compiler.terms import Networks, Pods
from netpol.model.change import Change
from netpol.model.networks import Family, parse_network
from netpol.model.objects import Namespace, Pod
from netpol.model.snapshot import Snapshot
from netpol.policy.resolve import Resolver

WEB, DB = pod("x/web", "10.0.0.1", labels="app=web"), pod("x/db", "10.0.0.2", labels="app=db")
WEBS, TEAM = Pods(pods("app=web", namespace="x")), Pods(pods("", namespaces="team=red"))


class Cluster:
    """Pods of namespace x, and the sets of the terms that mean them, of IPv4 alone."""

    def __init__(self, *known: Pod) -> None:
        self.namespaces: dict[str, Namespace] = {"x": namespace("x", "team=red")}
        self.resolver = Resolver(
            Snapshot(self.namespaces, {(each.namespace, each.name): each for each in known}, {}, {})
        )
        self.peers = PeerSets((Family.IPV4,), self.resolver, self.namespaces)

    def using(self, *terms: Pods | Networks) -> Cluster:
        for term in terms:
            self.peers.use(term)
        self.peers.settle()
        return self

    def move(self, before: Pod | None, after: Pod | None) -> None:
        self.peers.move(self.resolver.replace_pods([Change(before, after)]))

    def relabel(self, text: str) -> None:
        self.namespaces["x"] = namespace("x", text)
        self.peers.relabel("x", self.namespaces["x"].labels)

    def settled(self) -> list[set[Member]]:
        return [set(each.members) for each in self.peers.settle().sets]


def packed(*hosts: str) -> set[Member]:
    return {address(host).packed for host in hosts}


def test_a_term_that_comes_into_use_has_the_pods_it_means() -> None:
    cluster = Cluster(WEB, DB)
    cluster.peers.use(WEBS)
    changes = cluster.peers.settle()
    assert [set(each.members) for each in changes.sets] == [packed("10.0.0.1")]
    assert not changes.moved
    assert cluster.peers.set_names([WEBS]) == {WEBS: (changes.sets[0].name,)}


def test_a_peer_that_comes_or_goes_changes_the_sets_that_mean_it_and_no_others() -> None:
    cluster = Cluster(DB).using(WEBS, TEAM, Networks(frozenset({parse_network("10.0.0.0/8")})))
    cluster.move(None, WEB)
    changes = cluster.peers.settle()
    assert sorted(map(len, (each.members for each in changes.sets))) == [1, 2]
    assert changes.moved
    cluster.move(DB, None)
    assert cluster.settled() == [packed("10.0.0.1")]


def test_what_changes_no_member_changes_no_set() -> None:
    cluster = Cluster(WEB).using(WEBS, TEAM)
    cluster.move(WEB, replace(WEB, uid="another"))
    assert cluster.peers.settle() == SetChanges([], [], moved=False)


def test_an_address_that_another_pod_takes_over_stays_where_both_are_meant() -> None:
    """X1: whatever the order of the pods."""
    cluster = Cluster(WEB).using(TEAM, WEBS)
    heir = replace(DB, addresses=WEB.addresses)
    cluster.peers.move(cluster.resolver.replace_pods([Change(None, heir), Change(WEB, None)]))
    assert cluster.settled() == [set()]


def test_a_relabelled_namespace_takes_its_pods_with_it() -> None:
    cluster = Cluster(WEB, DB).using(TEAM, WEBS)
    cluster.relabel("team=blue")
    assert cluster.settled() == [set()]
    cluster.relabel("team=red")
    assert cluster.settled() == [packed("10.0.0.1", "10.0.0.2")]


def test_what_was_said_last_in_a_batch_is_true() -> None:
    """A pod comes in a namespace that is none of the term's any more."""
    cluster = Cluster(WEB).using(TEAM)
    cluster.move(None, DB)
    cluster.relabel("team=blue")
    assert cluster.settled() == [set()]


def test_a_term_is_there_for_as_long_as_a_program_uses_it() -> None:
    cluster = Cluster(WEB).using(WEBS, WEBS)
    (names,) = cluster.peers.set_names([WEBS]).values()
    cluster.peers.drop(WEBS)
    assert not cluster.peers.settle().gone
    cluster.peers.drop(WEBS)
    assert cluster.peers.settle().gone == list(names)
    cluster.move(WEB, None)
    assert cluster.peers.settle().sets == []


def test_a_term_that_is_dropped_and_used_in_one_batch_stays() -> None:
    cluster = Cluster(WEB).using(WEBS)
    cluster.peers.drop(WEBS)
    cluster.peers.use(WEBS)
    assert cluster.peers.settle() == SetChanges([], [], moved=False)
    cluster.move(None, replace(WEB, name="other", addresses=DB.addresses))
    assert cluster.settled() == [packed("10.0.0.1", "10.0.0.2")]


def test_a_term_that_is_used_and_dropped_in_one_batch_never_was() -> None:
    cluster = Cluster(WEB)
    cluster.peers.use(WEBS)
    cluster.peers.drop(WEBS)
    assert cluster.peers.settle().sets == []
