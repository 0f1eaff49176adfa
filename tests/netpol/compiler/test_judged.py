"""The pods of a node with their programs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import EGRESS, address, namespace, pod, policy, rule, world

from netpol.compiler import names
from netpol.compiler.judged import JudgedPod, chains_by_address, is_local
from netpol.compiler.names import PodChainKind
from netpol.compiler.ruleset import Action, Log, Reject
from netpol.model.networks import Family
from netpol.model.objects import Namespace
from netpol.model.policies import Direction, Policy
from netpol.model.treatment import AuditLevel, DenyAction, Enforcement, Treatment
from netpol.policy.resolve import Resolver
from netpol.settings import NodeOptions

FOUR, SIX = Family.IPV4, Family.IPV6
HERE = pod("x/here", "10.0.0.1", "fd00::1", node="n1")
HOME, USUAL = namespace("x"), Treatment()
CHAIN = names.pod_chain("x", "here", Direction.EGRESS)


def judged(*policies: Policy, home: Namespace = HOME, treatment: Treatment = USUAL) -> JudgedPod:
    resolver = Resolver(world(home, HERE, *policies))
    (holder,) = resolver.on_node("n1")
    return JudgedPod.of(holder, resolver, NodeOptions("n1", treatment=treatment))


def under_audit(only: Policy) -> Policy:
    return replace(only, enforcement=Enforcement.AUDIT)


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


# --- under audit (X16)

AUDITED = replace(HOME, enforcement=Enforcement.AUDIT)
OUT, IN = policy("x/out", directions=EGRESS), policy("x/in")


@pytest.mark.parametrize(
    ("home", "policies"),
    [
        (HOME, [under_audit(OUT), under_audit(IN)]),
        (AUDITED, [OUT, IN]),
        (replace(AUDITED, default_deny=True), [OUT]),
    ],
    ids=["policies", "their namespace", "its annotation"],
)
def test_a_pod_whom_nothing_enforced_isolates_is_refused_nothing(home: Namespace, policies: list[Policy]) -> None:
    found = judged(*policies, home=home)
    assert set(found.programs) == set(Direction)
    for direction, program in found.programs.items():
        assert program.enforcement is Enforcement.AUDIT
        assert program.chain == names.pod_chain("x", "here", direction, PodChainKind.AUDITING)
    assert [*found.enforced_addresses(FOUR), *found.enforced_addresses(SIX)] == []


def test_a_pod_that_is_enforced_for_one_direction_is_isolated() -> None:
    """G11: whichever side speaks next."""
    found = judged(OUT, under_audit(IN))
    assert {direction: program.enforcement for direction, program in found.programs.items()} == {
        Direction.EGRESS: Enforcement.ENFORCE,
        Direction.INGRESS: Enforcement.AUDIT,
    }
    assert list(found.enforced_addresses(FOUR)) == [address("10.0.0.1")]
    assert list(found.enforced_addresses(SIX)) == [address("fd00::1")]


def test_a_policy_under_audit_beside_an_enforced_one_changes_nothing() -> None:
    """It would only allow more."""
    more = policy("x/more", egress=[rule()], directions=EGRESS)
    assert judged(OUT, under_audit(more)) == judged(OUT)
    assert judged(OUT, more) != judged(OUT)


def test_a_pod_of_which_nothing_is_recorded_has_no_chain_for_what_is_under_audit() -> None:
    """X17."""
    assert judged(IN, home=replace(AUDITED, audit=AuditLevel.NONE)).programs == {}
    assert judged(IN, home=AUDITED, treatment=Treatment(AuditLevel.NONE)).programs == {}
    assert set(judged(IN, under_audit(OUT), treatment=Treatment(AuditLevel.NONE)).programs) == {Direction.INGRESS}


# --- treatment (X17)


def test_a_pod_is_treated_as_its_namespace_says_and_else_as_the_node_does() -> None:
    silent = replace(HOME, audit=AuditLevel.NONE, deny_action=DenyAction.REJECT)
    quiet = Treatment(AuditLevel.NONE, DenyAction.REJECT)
    by_namespace, by_node = (judged(IN, home=silent), judged(IN, treatment=quiet))
    assert by_namespace == by_node
    (rules,) = by_node.programs[Direction.INGRESS].chains.values()
    assert [each.target for each in rules] == [Reject.RESET, Reject.UNREACHABLE]
    (usual,) = judged(IN, home=HOME).programs[Direction.INGRESS].chains.values()
    assert [type(each.target) for each in usual] == [Log, Action]
