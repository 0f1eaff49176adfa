from __future__ import annotations

import pytest
from builders import address, node, pod, policy

from netpol.model.policies import Direction
from netpol.policy.judgement import (
    AnnotationReference,
    Decision,
    ExternalEnd,
    NodeEnd,
    PodEnd,
    PolicyReference,
    Reason,
    Verdict,
)


@pytest.mark.parametrize("egress", [True, False])
@pytest.mark.parametrize("ingress", [True, False])
def test_g1_a_verdict_allows_what_both_sides_allow(egress: bool, ingress: bool) -> None:
    verdict = Verdict(
        Decision(Direction.EGRESS, allowed=egress, reason=Reason.RULE),
        Decision(Direction.INGRESS, allowed=ingress, reason=Reason.RULE),
    )
    assert verdict.allowed is (egress and ingress)


def test_ends_are_called_what_a_person_calls_them() -> None:
    assert str(PodEnd(pod("x/a", "10.0.0.1"), address("10.0.0.1"))) == "x/a"
    assert str(NodeEnd(node("n1"), None)) == "node/n1"
    assert str(ExternalEnd(address("8.8.8.8"))) == "8.8.8.8"


def test_a_reference_names_a_policy_or_one_rule_of_it() -> None:
    assert PolicyReference.to(policy("x/p")) == PolicyReference("NetworkPolicy", "x", "p", None)
    assert PolicyReference.to(policy("x/p"), 2) == PolicyReference("NetworkPolicy", "x", "p", 2)


def test_b1_an_annotation_reference_carries_the_annotations_key() -> None:
    assert AnnotationReference("x").annotation == "net.beta.kubernetes.io/network-policy"
