"""The cluster at moments before and after it changed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import address, namespace, node, pod, policy, rule
from history import BEGAN, NODE, Told

from netpol.audit.history import chronicle as subject
from netpol.audit.history.chronicle import Chronicle
from netpol.compiler.log_points import pod_digest
from netpol.model.facts import Fact, Key, Kind
from netpol.model.moments import SECOND
from netpol.policy.judgement import ExternalEnd, NodeEnd, PodEnd
from netpol.settings import NodeOptions

A = pod("x/a", "10.0.0.1", node=NODE)
OLD = pod("x/old", "10.0.0.1", node=NODE, created="2024-01-01T00:00:00.000000Z")
NEW = pod("x/new", "10.0.0.1", node="n2", created="2024-01-02T00:00:00.000000Z")
AT = address("10.0.0.1")


def test_nothing_is_known_before_anything_was_told() -> None:
    chronicle = Chronicle(NodeOptions(NODE))
    assert not chronicle.is_known
    assert chronicle.at(BEGAN).end_at(AT) == ExternalEnd(AT)
    assert list(chronicle.near(BEGAN)) == []


def test_nothing_is_known_of_moments_before_the_first_facts() -> None:
    told = Told(A)
    assert told.chronicle.is_known
    assert told.chronicle.at(BEGAN - 1).end_at(AT) == ExternalEnd(AT)
    assert told.chronicle.at(BEGAN).end_at(AT) == PodEnd(A, AT)


def test_a_change_counts_from_the_moment_it_was_certain() -> None:
    told = Told(A)
    told.becomes(seconds=10, took=2)
    changed = BEGAN + 10 * SECOND
    assert told.chronicle.at(changed - 1).end_at(AT) == PodEnd(A, AT)
    assert told.chronicle.at(changed).end_at(AT) == ExternalEnd(AT)


def test_while_a_change_is_made_both_sides_of_it_are_near() -> None:
    """However long it takes: the kernel may refuse it for minutes."""
    told = Told(A)
    told.becomes(seconds=100, took=60)
    ends = [each.end_at(AT) for each in told.chronicle.near(BEGAN + 50 * SECOND)]
    assert ends == [PodEnd(A, AT), ExternalEnd(AT)]
    assert [each.end_at(AT) for each in told.chronicle.near(BEGAN + 30 * SECOND)] == [PodEnd(A, AT)]


def test_the_nearest_change_comes_first() -> None:
    told = Told(A)
    told.becomes(OLD, seconds=10)
    told.becomes(NEW, seconds=10.5)
    told.becomes(seconds=10.9)
    near = told.chronicle.near(BEGAN + 10 * SECOND + SECOND * 6 // 10)
    assert [each.end_at(AT) for each in near] == [
        PodEnd(NEW, AT),
        PodEnd(OLD, AT),  # 0.1 s before
        ExternalEnd(AT),  # 0.3 s after
        PodEnd(A, AT),  # 0.6 s before
    ]


def test_only_so_many_changes_are_looked_at() -> None:
    told = Told(A)
    for step in range(20):
        told.becomes(replace(A, labels={"step": str(step)}), seconds=10 + step / 100)
    assert len(list(told.chronicle.near(told.now))) == 1 + subject.MOST_NEAR


def test_the_first_facts_are_near_since_the_kernel_may_have_held_them() -> None:
    """By an earlier run, for as long as that may be; nothing is known to have been there before."""
    told = Told(A, took=3600)
    assert [each.end_at(AT) for each in told.chronicle.near(BEGAN - 3600 * SECOND)] == [PodEnd(A, AT)]
    assert [each.end_at(AT) for each in told.chronicle.near(BEGAN)] == [PodEnd(A, AT)]
    assert list(told.chronicle.near(BEGAN - 3602 * SECOND)) == []


def test_x1_the_newest_holder_at_each_moment() -> None:
    told = Told(OLD)
    told.becomes(OLD, NEW, seconds=10)
    told.becomes(OLD, seconds=20)
    holders = [told.at(seconds).end_at(AT) for seconds in (5, 15, 25)]
    assert holders == [PodEnd(OLD, AT), PodEnd(NEW, AT), PodEnd(OLD, AT)]


def test_v9_the_node_of_a_hostnetwork_pod_at_each_moment() -> None:
    host = pod("x/host", "192.168.0.9", node="n2", host_network=True)
    told = Told(A, host)
    told.becomes(A, seconds=10)
    at = address("192.168.0.9")
    assert told.at(5).end_at(at) == NodeEnd(node("n2", "192.168.0.9"), at)
    assert told.at(15).end_at(at) == ExternalEnd(at)


def test_the_pod_that_a_log_point_names() -> None:
    elsewhere = pod("x/elsewhere", "10.0.9.9", node="n2")
    told = Told(A, elsewhere)
    told.becomes(elsewhere, seconds=10)
    digest = pod_digest("x", "a")
    assert (told.at(5).pod(digest), told.at(15).pod(digest)) == (A, None)
    assert (told.at(5).departed_pod(digest), told.at(15).departed_pod(digest)) == (None, A)
    assert told.at(5).pod(pod_digest("x", "elsewhere")) is None


def test_g12_the_own_node_is_not_forgotten() -> None:
    own = node(NODE, "192.168.0.1", pod_cidrs=["10.0.0.0/24"])
    told = Told(own)
    told.becomes(replace(own, pod_cidrs=()), seconds=10)
    told.becomes(seconds=20)
    assert told.at(25).is_unknown(AT)


def test_facts_that_say_what_is_known_are_no_change() -> None:
    told = Told(A)
    told.chronicle.follow([Fact(Key(Kind.POD, "x", "a"), replace(A))], told.now + SECOND, told.now + SECOND)
    assert len(list(told.chronicle.near(told.now + SECOND))) == 1


def test_a_clock_that_is_set_back_begins_history_anew() -> None:
    told = Told(A)
    told.becomes(seconds=10)
    told.becomes(namespace("x"), seconds=4)
    assert told.at(3).end_at(AT) == ExternalEnd(AT)
    assert told.at(3).departed(AT) is None
    assert told.at(5).departed(AT) is None


def test_of_changes_beyond_the_most_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "MOST_SPANS", 3)
    told = Told(A)
    for step in range(4):
        told.becomes(replace(A, labels={"step": str(step)}), seconds=10 + step)
    assert told.at(9).end_at(AT) == ExternalEnd(AT)
    assert isinstance(told.at(10).end_at(AT), PodEnd)


def test_an_oracle_is_kept_until_something_changes() -> None:
    told = Told(A)
    told.becomes(A, policy("x/p", ingress=[rule()]), seconds=10)
    assert told.at(11).oracle is told.at(12).oracle
    assert told.at(5).oracle is told.at(6).oracle
    newest = told.at(11).oracle
    told.becomes(A, seconds=20)
    assert told.at(11).oracle is not newest
