"""The pods of a node with their programs."""

from __future__ import annotations

import pytest
from builders import EGRESS, address, namespace, pod, policy, world

from netpol.compiler import names
from netpol.compiler.judged import JudgedPod, chains_by_address, is_local
from netpol.model.networks import Family
from netpol.model.policies import Direction, Policy
from netpol.policy.resolve import Resolver
from netpol.settings import NodeOptions

FOUR, SIX = Family.IPV4, Family.IPV6
HERE = pod("x/here", "10.0.0.1", "fd00::1", node="n1")
CHAIN = names.pod_chain("x", "here", Direction.EGRESS)


def judged(*policies: Policy) -> JudgedPod:
    resolver = Resolver(world(namespace("x"), HERE, *policies))
    (holder,) = resolver.on_node("n1")
    return JudgedPod.of(holder, resolver, 100)


@pytest.mark.parametrize(
    ("options", "local"),
    [
        (NodeOptions("n1"), True),
        (NodeOptions("n2"), False),
        (NodeOptions("n1", families=(SIX,)), True),
        (NodeOptions("n1", families=()), False),
    ],
)
def test_a_pod_is_local_where_it_runs_and_has_an_address_that_is_judged(options: NodeOptions, *, local: bool) -> None:
    assert is_local(judged().holder, options) is local


def test_a_pod_has_a_program_for_each_direction_it_is_isolated_for() -> None:
    assert judged().programs == {}
    assert set(judged(policy("x/out", directions=EGRESS)).programs) == {Direction.EGRESS}


def test_its_addresses_lead_to_its_chain() -> None:
    isolated = judged(policy("x/out", directions=EGRESS))
    assert chains_by_address([isolated], Direction.EGRESS, FOUR) == {address("10.0.0.1"): CHAIN}
    assert chains_by_address([isolated], Direction.EGRESS, SIX) == {address("fd00::1"): CHAIN}
    assert chains_by_address([isolated], Direction.INGRESS, FOUR) == {}
