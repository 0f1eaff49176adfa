"""The chain of one pod and direction, rule by rule."""

from __future__ import annotations

import pytest
from builders import block, namespace, pod, pods, policy, rule

from netpol.compiler import names
from netpol.compiler.pod_chain import Group, PodProgram, pod_program
from netpol.compiler.ruleset import (
    Action,
    InSet,
    Log,
    OfProtocol,
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
from netpol.policy.resolve import Resolver

POD = pod("x/web", "10.0.0.1", ports="http=80/TCP")
IN, OUT = Direction.INGRESS, Direction.EGRESS


def program(direction: Direction, *rules: PolicyRule) -> PodProgram:
    only = policy("x/p", directions=frozenset({direction}), ingress=rules, egress=rules)
    standing = Resolver(Snapshot.of([namespace("x")], [POD], (), [only])).standing(POD)
    return pod_program(POD, direction, standing, log_group=7)


def targets(found: PodProgram) -> list[Target]:
    return [each.target for each in found.rules]


@pytest.mark.parametrize("direction", Direction)
def test_what_no_rule_allows_is_logged_and_dropped(direction: Direction) -> None:
    found = program(direction)
    assert found.chain == names.pod_chain("x", "web", direction)
    comment = f"{direction.value} of x/web: refused"
    assert found.rules == (
        Rule((), Log(7, f"1:{found.chain}"), comment),
        Rule((), Action.DROP, comment),
    )
    assert found.groups == ()


def test_everything_returns_before_the_refusal() -> None:
    found = program(IN, rule())
    assert found.rules[0] == Rule((), Action.RETURN, "ingress of x/web: everything")
    assert targets(found)[1:] == [Log(7, f"1:{found.chain}"), Action.DROP]


def test_anyone_on_a_port_needs_no_list() -> None:
    found = program(IN, rule(None, ["80/TCP"]))
    tcp = (OfProtocol(Protocol.TCP), ToPorts((PortRange(80, 80),)))
    assert found.rules[0] == Rule(tcp, Action.RETURN, "ingress of x/web: TCP 80")
    assert found.groups == ()


def test_every_port_of_a_protocol_matches_the_protocol_alone() -> None:
    assert program(IN, rule(None, ["*/UDP"])).rules[0].matches == (OfProtocol(Protocol.UDP),)


@pytest.mark.parametrize(("direction", "side"), [(IN, Side.SOURCE), (OUT, Side.DESTINATION)])
def test_peers_are_matched_on_the_other_side_in_the_pods_own_list(direction: Direction, side: Side) -> None:
    found = program(direction, rule([pods("app=red")], ["80/TCP"]))
    (group,) = found.groups
    assert group.name == names.group_set("x", "web", direction, "TCP 80")
    assert found.rules[0].matches[-1] == InSet(group.name, (side,))


def test_a_list_with_named_destinations_is_matched_by_address_and_port() -> None:
    found = program(OUT, rule([pods("app=red")], ["http/TCP", "443/TCP"]), rule([pods("app=blue")]))
    assert [each.matches[-1] for each in found.rules[:-2]] == [
        InSet(found.groups[0].name, (Side.DESTINATION, Side.DESTINATION)),
        InSet(found.groups[1].name, (Side.DESTINATION,)),
    ]


def test_ports_that_no_multiport_match_holds_take_more_rules_with_one_list() -> None:
    """15 slots, of which a range takes two."""
    entries = [*(f"{port}/TCP" for port in range(1, 29, 2)), "100-200/TCP", "300-400/TCP", "500/TCP"]
    found = program(IN, rule([pods()], entries))
    *chunks, _, _ = found.rules
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
    chunks = [match.ports for each in found.rules for match in each.matches if isinstance(match, ToPorts)]
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
