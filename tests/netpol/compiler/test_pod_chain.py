"""The chains of one pod and direction, rule by rule."""

from __future__ import annotations

import pytest
from builders import block, namespace, pod, pods, policy, rule

from netpol.compiler import names
from netpol.compiler.names import PodChainKind
from netpol.compiler.pod_chain import Group, PodProgram, auditing_program, enforcing_program
from netpol.compiler.ruleset import (
    Action,
    FirstPacket,
    Goto,
    InSet,
    Log,
    OfProtocol,
    Reject,
    Rule,
    SetReference,
    SetType,
    Side,
    Target,
    ToPorts,
)
from netpol.compiler.terms import Pods, Term
from netpol.model.policies import Direction, PolicyRule
from netpol.model.ports import PortRange, Protocol
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import AuditLevel, DenyAction, Enforcement, Extent, Treatment
from netpol.policy.resolve import Resolver, Standing

POD = pod("x/web", "10.0.0.1", ports="http=80/TCP")
USUAL = Treatment()
IN, OUT = Direction.INGRESS, Direction.EGRESS


def standing(direction: Direction, *rules: PolicyRule) -> Standing:
    only = policy("x/p", directions=frozenset({direction}), ingress=rules, egress=rules)
    return Resolver(Snapshot.of([namespace("x")], [POD], (), [only])).standing(POD)


def program(direction: Direction, *rules: PolicyRule, treatment: Treatment = USUAL) -> PodProgram:
    return enforcing_program(POD, direction, standing(direction, *rules), treatment, log_group=7)


def audited(direction: Direction, *rules: PolicyRule) -> PodProgram:
    return auditing_program(POD, direction, standing(direction, *rules), log_group=7)


def rules_of(found: PodProgram) -> tuple[Rule, ...]:
    return found.chains[found.chain]


def targets(found: PodProgram) -> list[Target]:
    return [each.target for each in rules_of(found)]


@pytest.mark.parametrize("direction", Direction)
def test_what_no_rule_allows_is_logged_and_dropped(direction: Direction) -> None:
    found = program(direction)
    assert found.chain == names.pod_chain("x", "web", direction)
    comment = f"{direction.value} of x/web: refused"
    assert rules_of(found) == (
        Rule((), Log(7, f"1:{found.chain}"), comment),
        Rule((), Action.DROP, comment),
    )
    assert found.groups == ()


@pytest.mark.parametrize("direction", Direction)
def test_what_is_to_be_rejected_is_told_to_its_sender(direction: Direction) -> None:
    """X17."""
    found = program(direction, treatment=Treatment(deny_action=DenyAction.REJECT))
    comment = f"{direction.value} of x/web: refused"
    assert rules_of(found)[1:] == (
        Rule((OfProtocol(Protocol.TCP),), Reject.RESET, comment),
        Rule((), Reject.UNREACHABLE, comment),
    )


def test_what_is_not_to_be_recorded_is_not_logged() -> None:
    """X17."""
    found = program(IN, rule(None, ["80/TCP"]), treatment=Treatment(AuditLevel.NONE))
    assert targets(found) == [Action.RETURN, Action.DROP]
    assert list(found.chains) == [found.chain]


@pytest.mark.parametrize("direction", Direction)
def test_what_a_rule_allows_is_logged_in_a_chain_of_its_own(direction: Direction) -> None:
    """X17."""
    found = program(direction, rule(None, ["80/TCP"]), rule([pods()]), treatment=Treatment(AuditLevel.ALLOWS))
    allowing = names.pod_chain("x", "web", direction, PodChainKind.ALLOWING)
    assert targets(found) == [Goto(allowing), Goto(allowing), Log(7, f"1:{found.chain}"), Action.DROP]
    log = Rule((FirstPacket(),), Log(7, f"1:{allowing}"), f"{direction.value} of x/web: allowed")
    assert found.chains == {found.chain: rules_of(found), allowing: (log,)}


@pytest.mark.parametrize("direction", Direction)
def test_what_policies_under_audit_would_refuse_is_logged_and_returns(direction: Direction) -> None:
    """X16."""
    found = audited(direction, rule([pods()], ["80/TCP"]))
    assert found.chain == names.pod_chain("x", "web", direction, PodChainKind.AUDITING)
    assert found.enforcement is Enforcement.AUDIT
    assert targets(found) == [Action.RETURN, Log(7, f"1:{found.chain}")]
    assert rules_of(found)[-1].comment == f"{direction.value} of x/web: would be refused"
    assert list(found.chains) == [found.chain]


def test_the_lists_of_all_policies_are_not_those_of_the_enforced_ones() -> None:
    """They may allow the same port to different peers, and both are there while one takes the other's place."""
    (under_audit,), (enforced,) = (
        each.groups for each in (audited(IN, rule([pods()], ["80/TCP"])), program(IN, rule([pods()], ["80/TCP"])))
    )
    assert under_audit.name == names.group_set("x", "web", IN, "TCP 80", Extent.ALL)
    assert enforced.name == names.group_set("x", "web", IN, "TCP 80")
    assert under_audit.name != enforced.name


def test_everything_returns_before_the_refusal() -> None:
    found = program(IN, rule())
    assert rules_of(found)[0] == Rule((), Action.RETURN, "ingress of x/web: everything")
    assert targets(found)[1:] == [Log(7, f"1:{found.chain}"), Action.DROP]


def test_anyone_on_a_port_needs_no_list() -> None:
    found = program(IN, rule(None, ["80/TCP"]))
    tcp = (OfProtocol(Protocol.TCP), ToPorts((PortRange(80, 80),)))
    assert rules_of(found)[0] == Rule(tcp, Action.RETURN, "ingress of x/web: TCP 80")
    assert found.groups == ()


def test_every_port_of_a_protocol_matches_the_protocol_alone() -> None:
    assert rules_of(program(IN, rule(None, ["*/UDP"])))[0].matches == (OfProtocol(Protocol.UDP),)


@pytest.mark.parametrize(("direction", "side"), [(IN, Side.SOURCE), (OUT, Side.DESTINATION)])
def test_peers_are_matched_on_the_other_side_in_the_pods_own_list(direction: Direction, side: Side) -> None:
    found = program(direction, rule([pods("app=red")], ["80/TCP"]))
    (group,) = found.groups
    assert group.name == names.group_set("x", "web", direction, "TCP 80")
    assert rules_of(found)[0].matches[-1] == InSet(group.name, (side,))


def test_a_list_with_named_destinations_is_matched_by_address_and_port() -> None:
    found = program(OUT, rule([pods("app=red")], ["http/TCP", "443/TCP"]), rule([pods("app=blue")]))
    assert [each.matches[-1] for each in rules_of(found)[:-2]] == [
        InSet(found.groups[0].name, (Side.DESTINATION, Side.DESTINATION)),
        InSet(found.groups[1].name, (Side.DESTINATION,)),
    ]


def test_ports_that_no_multiport_match_holds_take_more_rules_with_one_list() -> None:
    """15 slots, of which a range takes two."""
    entries = [*(f"{port}/TCP" for port in range(1, 29, 2)), "100-200/TCP", "300-400/TCP", "500/TCP"]
    found = program(IN, rule([pods()], entries))
    *chunks, _, _ = rules_of(found)
    (group,) = found.groups
    assert [each.matches for each in chunks] == [
        (OfProtocol(Protocol.TCP), ToPorts(ports), InSet(group.name, (Side.SOURCE,)))
        for ports in (
            tuple(PortRange(port, port) for port in range(1, 29, 2)),
            (PortRange(100, 200), PortRange(300, 400), PortRange(500, 500)),
        )
    ]


@pytest.mark.parametrize("count", [1, 15, 16, 30, 31])
def test_no_chunk_is_too_large_and_none_is_empty(count: int) -> None:
    found = program(IN, rule(None, [f"{2 * port + 1}/TCP" for port in range(count)]))
    chunks = [match.ports for each in rules_of(found) for match in each.matches if isinstance(match, ToPorts)]
    assert [len(chunk) for chunk in chunks] == [15] * (count // 15) + ([count % 15] if count % 15 else [])
    assert [port.first for chunk in chunks for port in chunk] == [2 * port + 1 for port in range(count)]


def test_a_list_refers_to_its_terms_sets_and_says_which_rules_name_them() -> None:
    red: Term = Pods(pods("app=red", namespace="x"))
    blue: Term = Pods(pods("app=blue", namespace="x"))
    group = Group("list", {red: ("x/a#0", "x/b#1"), blue: ("x/a#0",)}, "why")
    made = group.to_set({red: ("red4", "red6"), blue: ()})
    assert (made.name, made.type, made.family, made.meaning) == ("list", SetType.SETS, None, "why")
    assert made.members == {SetReference("red4", "x/a#0, x/b#1"), SetReference("red6", "x/a#0, x/b#1")}


def test_a_lists_comment_is_no_longer_than_the_kernel_keeps() -> None:
    red: Term = Pods(pods("app=red", namespace="x"))
    (member,) = Group("list", {red: tuple(f"x/{index:03}#0" for index in range(99))}, "").to_set({red: ("s",)}).members
    assert isinstance(member, SetReference)
    assert len(member.comment) == 255


def test_the_same_block_of_two_rules_is_one_term() -> None:
    found = program(IN, rule([block("10.0.0.0/8")], ["80/TCP"]), rule([block("10.0.0.0/8")], ["80/TCP"]))
    (group,) = found.groups
    assert list(group.terms.values()) == [("x/p#0", "x/p#1")]
