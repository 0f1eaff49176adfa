"""Which terms may mean a pod, as the index finds them."""

from __future__ import annotations

import pytest
from builders import block, labels, namespace, pod, pods, selector

from netpol.compiler.term_index import TermIndex
from netpol.compiler.terms import NamedDestination, Pods, PodTerm
from netpol.model.objects import Namespace, Pod
from netpol.model.policies import PodPeer
from netpol.model.ports import NamedPort, Protocol

HTTP = NamedPort(Protocol.TCP, "http")
WEB = pod("x/web", "10.0.0.1", labels="app=web", ports="http=80/TCP http=81/TCP")
NAMESPACES = {"x": namespace("x", "team=red"), "y": namespace("y", "team=blue")}


def index(*terms: PodTerm, namespaces: dict[str, Namespace] | None = None) -> TermIndex[int]:
    """Each term's thing is its number."""
    made: TermIndex[int] = TermIndex(NAMESPACES if namespaces is None else namespaces)
    for thing, term in enumerate(terms):
        made.add(term, thing)
    return made


@pytest.mark.parametrize(
    ("term", "met"),
    [
        (Pods(pods("app=web", namespace="x")), WEB),
        (Pods(pods("", namespaces="team=red")), WEB),
        (Pods(pods("!tier", namespaces="")), WEB),
        (NamedDestination(pods("", namespace="x"), HTTP), WEB),
        (NamedDestination(pods("app=web", namespaces="team"), HTTP), WEB),
        (NamedDestination(None, HTTP), WEB),
        (NamedDestination(block("10.0.0.0/8"), HTTP), WEB),
    ],
    ids=str,
)
def test_a_term_is_found_for_the_pods_it_means_and_not_once_it_is_removed(term: PodTerm, met: Pod) -> None:
    """Once, also where the pod gives the port's name two numbers."""
    found = index(term)
    assert list(found.meaning(met)) == [0]
    found.remove(term, 0)
    assert list(found.meaning(met)) == []


@pytest.mark.parametrize(
    "term",
    [
        Pods(pods("app=db", namespace="x")),
        Pods(pods("", namespace="y")),
        Pods(pods("", namespaces="team=blue")),
        Pods(PodPeer()),
        NamedDestination(None, NamedPort(Protocol.UDP, "http")),
        NamedDestination(pods("", namespace="y"), HTTP),
    ],
    ids=str,
)
def test_a_term_is_not_found_for_others(term: PodTerm) -> None:
    assert list(index(term).meaning(WEB)) == []


def test_a_namespace_that_is_not_known_is_in_no_scope() -> None:
    """X2."""
    terms = Pods(pods("", namespaces="")), Pods(pods("", namespace="x"))
    assert list(index(*terms, namespaces={}).meaning(WEB)) == [1]


def test_a_relabelled_namespace_tells_whose_pods_it_gains_and_loses() -> None:
    """Each with the selector of pods; a term that means both kinds of namespace gains and loses nothing."""
    red, blue = Pods(pods("app=web", namespaces="team=red")), Pods(pods("app=db", namespaces="team=blue"))
    found = index(red, blue, Pods(pods("", namespaces="team")))
    changed = found.relabel("x", labels("team=blue"))
    assert changed.gained == {1: selector("app=db")}
    assert changed.lost == {0: selector("app=web")}
    assert list(found.meaning(WEB)) == [2]


def test_a_namespace_that_goes_loses_all_and_gains_them_when_it_is_back() -> None:
    found = index(Pods(pods("", namespaces="")))
    gone, back = found.relabel("x", None), found.relabel("x", {})
    assert (gone.gained, set(gone.lost)) == ({}, {0})
    assert (set(back.gained), back.lost) == ({0}, {})


def test_a_scope_that_nothing_names_any_more_is_asked_no_more() -> None:
    term = Pods(pods("", namespaces="team"))
    found = index(term)
    found.remove(term, 0)
    assert not found.relabel("x", None).lost
    found.add(term, 1)
    assert list(found.meaning(WEB)) == [1]


def test_a_namespace_stays_in_the_scopes_that_are_left() -> None:
    by_team, by_name = Pods(pods("", namespaces="team=red")), Pods(pods("", namespaces="kubernetes.io/metadata.name=x"))
    found = index(by_team, by_name)
    found.remove(by_team, 0)
    assert list(found.meaning(WEB)) == [1]


@pytest.mark.parametrize(
    ("gone", "left"),
    [
        (Pods(pods("app=web", namespace="x")), Pods(pods("", namespace="x"))),
        (NamedDestination(block("10.0.0.0/8"), HTTP), NamedDestination(None, HTTP)),
    ],
    ids=str,
)
def test_a_term_that_goes_leaves_those_it_was_kept_with(gone: PodTerm, left: PodTerm) -> None:
    found = index(gone, left)
    found.remove(gone, 0)
    assert list(found.meaning(WEB)) == [1]
