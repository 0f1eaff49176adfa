"""References to policies as records have them."""

from __future__ import annotations

from dataclasses import replace

from builders import policy

from netpol.audit.entries import miss_entry, policy_entry
from netpol.audit.record import MissEntry, PolicyEntry
from netpol.policy.judgement import AnnotationReference, Lack, NearestMiss, PolicyReference

POLICY = replace(policy("shop/web"), generation=7)


def test_a_policy_is_named_with_the_state_it_was_in() -> None:
    entry = policy_entry(PolicyReference.to(POLICY))
    assert entry == PolicyEntry("NetworkPolicy", "shop", "web", "uid-of-shop-web", 7)


def test_a_rule_is_named_by_its_place() -> None:
    assert policy_entry(PolicyReference.to(POLICY, 2)).rule == 2


def test_an_annotation_is_of_a_kind_of_its_own() -> None:
    entry = policy_entry(AnnotationReference("shop"))
    assert entry == PolicyEntry(
        "DefaultDenyAnnotation", "shop", "shop", annotation="net.beta.kubernetes.io/network-policy"
    )


def test_a_miss_says_what_was_lacked_as_a_program_and_as_a_person_reads_it() -> None:
    miss = NearestMiss(PolicyReference.to(POLICY, 0), (Lack.PORT, Lack.PEER_LABEL), "it allows 80/TCP, not 81/TCP")
    assert miss_entry(miss) == MissEntry(
        *("NetworkPolicy", "shop", "web", "uid-of-shop-web", 7, 0),
        lacked=("port", "peer label"),
        detail="it allows 80/TCP, not 81/TCP",
    )
