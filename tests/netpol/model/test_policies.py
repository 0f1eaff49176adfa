from __future__ import annotations

import pytest
from builders import BOTH, EGRESS, INGRESS, block, pods, policy, rule

from netpol.model.policies import Direction, Tier


@pytest.mark.parametrize(
    ("directions", "ingress", "egress"),
    [(INGRESS, 1, 0), (EGRESS, 0, 2), (BOTH, 1, 2), (frozenset[Direction](), 0, 0)],
)
def test_v2_rules_of_a_direction_that_the_policy_does_not_isolate_for_are_inert(
    directions: frozenset[Direction], ingress: int, egress: int
) -> None:
    given = policy("x/p", ingress=[rule()], egress=[rule(), rule()], directions=directions)
    assert len(given.rules(Direction.INGRESS)) == ingress
    assert len(given.rules(Direction.EGRESS)) == egress


def test_c1_the_tiers_are_in_the_order_in_which_they_judge() -> None:
    assert list(Tier) == [Tier.ADMIN, Tier.NETWORK_POLICY, Tier.BASELINE]


def test_policies_and_peers_in_words() -> None:
    assert str(policy("x/p")) == "x/p"
    assert str(pods("app=web", namespace="x")) == "pods [app=web] of namespace x"
    assert str(pods("", namespaces="team=a")) == "pods [*] of namespaces [team=a]"
    assert str(block("10.0.0.0/8")) == "10.0.0.0/8"
