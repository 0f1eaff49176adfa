"""A record's parts in words, as people read them."""

from __future__ import annotations

import pytest
from audit_records import ANNOTATION, DB, DETAIL, POLICY, RULE, SHELL, WEB, allowance, record

from netpol.audit.reader.wording import end_name, end_words, grounds_words, port_words, why, workload_words
from netpol.audit.record import Action, Cause, ExternalParty, NodeParty, Party, PodParty, PolicyEntry, Record

GONE = PodParty("shop", "web-0", "", "10.0.0.3", "Deployment/web", gone=True)


@pytest.mark.parametrize(
    ("end", "own", "workload"),
    [
        (DB, "shop/db-1", "shop/StatefulSet/db"),
        (SHELL, "ops/shell", "ops/shell"),
        (GONE, "shop/web-0 (gone)", "shop/Deployment/web"),
        (NodeParty("n2", "10.0.0.8"), "node/n2", "node/n2"),
        (ExternalParty("fd00::1"), "fd00::1", "fd00::1"),
        (None, "-", "-"),
    ],
)
def test_an_end_has_a_name_of_its_own_and_its_workloads(end: Party | None, own: str, workload: str) -> None:
    assert (end_words(end), workload_words(end)) == (own, workload)


def test_a_name_says_nothing_of_whether_the_end_was_gone() -> None:
    assert [end_name(end) for end in (GONE, NodeParty("n2", "10.0.0.8"))] == ["shop/web-0", "node/n2"]


def test_a_pod_without_a_workload_is_the_same_before_it_was_deleted_and_after() -> None:
    assert workload_words(PodParty("ops", "shell", "", "10.0.0.3", "", gone=True)) == workload_words(SHELL)


@pytest.mark.parametrize(
    ("protocol", "port", "icmp_type", "words"),
    [
        ("UDP", 53, None, "53/UDP"),
        ("TCP", 0, None, "0/TCP"),
        ("TCP", None, None, "TCP"),
        ("ICMP", None, 8, "ICMP type 8"),
        ("ICMP", None, 0, "ICMP type 0"),
        (None, None, None, "-"),
    ],
)
def test_a_port_has_its_protocol(protocol: str | None, port: int | None, icmp_type: int | None, words: str) -> None:
    assert port_words(record(protocol=protocol, dst_port=port, icmp_type=icmp_type)) == words


REASONS = [
    (record(), f"isolated by NetworkPolicy shop/db; closest is ingress[0] of NetworkPolicy shop/db: {DETAIL}"),
    (
        record(isolating=(ANNOTATION, POLICY), nearest_miss=None),
        "isolated by the DefaultDeny annotation of shop and NetworkPolicy shop/db",
    ),
    (allowance(), "allowed by ingress[0] of NetworkPolicy shop/db"),
    (allowance(direction="egress", policies=(RULE, RULE)), "allowed by egress[0] of NetworkPolicy shop/db"),
    (allowance(action=Action.DENY), "refused by ingress[0] of NetworkPolicy shop/db"),
    (
        record(isolating=tuple(PolicyEntry("NetworkPolicy", "a", name) for name in "abcd"), nearest_miss=None),
        "isolated by NetworkPolicy a/a, NetworkPolicy a/b and 2 more",
    ),
    (
        record(reason=Cause.UNKNOWN_POD, direction=None, isolating=(), nearest_miss=None),
        "an address of the node's pod range that no known pod has",
    ),
    (
        record(reason=Cause.UNKNOWN, nearest_miss=None),
        "what led to this is unknown; isolated by NetworkPolicy shop/db",
    ),
]


@pytest.mark.parametrize(("some", "words"), REASONS, ids=[words for _, words in REASONS])
def test_a_verdict_has_its_reasons(some: Record, words: str) -> None:
    assert why(some) == words


@pytest.mark.parametrize("cause", Cause)
def test_every_reason_has_words_of_its_own_or_policies_that_say_it(cause: Cause) -> None:
    says_it = {Cause.RULE, Cause.IMPLICIT_ISOLATION, Cause.LOST}
    bare = record(reason=cause, isolating=(), nearest_miss=None)
    assert bool(grounds_words(bare, (), ())) is (cause not in says_it)


def test_grounds_are_the_same_for_packets_that_lacked_something_else() -> None:
    some, other = record(peer=WEB), record(peer=SHELL, nearest_miss=None)
    words = [grounds_words(each, each.policies, each.isolating) for each in (some, other)]
    assert words[0] == words[1] != []
