"""What the policies let one pod receive or send: one allowance for each distinct set of ports."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from builders import BOTH, EGRESS, beta, block, namespace, pod, pods, policy, rule

from netpol.compiler.allowances import Allowance, allowances, merged
from netpol.compiler.terms import Block, NamedDestination, Networks, Pods, Term
from netpol.model.networks import parse_network
from netpol.model.policies import Direction, PodPeer, Policy, PolicyRule
from netpol.model.ports import ALL_PORTS, NamedPort, PortRange, Protocol
from netpol.model.snapshot import Snapshot
from netpol.policy.resolve import Resolver

POD = pod("x/web", "10.0.0.1", ports="http=80/TCP http=8080/TCP http=53/UDP")
RED = PodPeer(pods("app=red").pods, namespace="x")
BLUE = PodPeer(pods("app=blue").pods, namespace="x")
RED_PODS, BLUE_PODS = pods("app=red"), pods("app=blue")
IN, OUT = Direction.INGRESS, Direction.EGRESS

Found = list[tuple[str, dict[Term, tuple[str, ...]] | None]]


def found(direction: Direction, *policies: Policy) -> Found:
    """The pod's allowances, each as its identity and who may."""
    standing = Resolver(Snapshot.of([namespace("x", deny=True)], [POD], (), policies)).standing(POD)
    return [(each.identity, each.terms) for each in allowances(POD, direction, standing)]


def ingress(*rules: PolicyRule) -> Found:
    return found(IN, policy("x/p", ingress=rules))


def egress(*rules: PolicyRule) -> Found:
    return found(OUT, policy("x/p", egress=rules))


def test_no_rule_allows_nothing() -> None:
    assert ingress() == egress() == []
    assert found(IN) == []


@pytest.mark.parametrize(
    "nothing", [rule([], ["80/TCP"]), rule([RED_PODS], []), rule([], []), rule([], ["http/TCP"]), rule([], None)]
)
def test_a_part_that_matches_nothing_allows_nothing(nothing: PolicyRule) -> None:
    """B7, M7: the rule allows nothing, and takes nothing away from others."""
    assert ingress(nothing) == egress(nothing) == []
    assert ingress(nothing, rule([RED_PODS])) == [("by peer alone", {Pods(RED): ("x/p#1",)})]


def test_an_empty_rule_allows_everything_whatever_else_is_said() -> None:
    """V3, G10."""
    assert ingress(rule([RED_PODS], ["80/TCP"]), rule()) == [("everything", None)]
    assert egress(rule(None, ["http/TCP"]), rule()) == [("everything", None)]


def test_anyone_on_a_port_stands_for_those_named_on_it() -> None:
    assert ingress(rule([RED_PODS], ["80/TCP"]), rule(None, ["80/TCP"])) == [("TCP 80", None)]


def test_rules_for_the_same_ports_share_an_allowance() -> None:
    """One kernel rule for each set of ports, however many policies name it (B12)."""
    policies = (
        policy("x/one", ingress=[rule([RED_PODS], ["80/TCP"]), rule([RED_PODS, BLUE_PODS], ["80/TCP"])]),
        policy("x/two", ingress=[rule([RED_PODS], ["80/TCP"])]),
    )
    assert found(IN, *policies) == [
        ("TCP 80", {Pods(RED): ("x/one#0", "x/one#1", "x/two#0"), Pods(BLUE): ("x/one#1",)}),
    ]


def test_a_peers_ports_of_several_rules_are_one_set() -> None:
    assert ingress(rule([RED_PODS], ["80/TCP", "53/UDP"]), rule([RED_PODS], ["81-90/TCP"])) == [
        ("TCP 80-90", {Pods(RED): ("x/p#0", "x/p#1")}),
        ("UDP 53", {Pods(RED): ("x/p#0",)}),
    ]


def test_a_rule_without_ports_stands_before_those_with_ports() -> None:
    assert ingress(rule([RED_PODS], ["80/TCP"]), rule([BLUE_PODS])) == [
        ("by peer alone", {Pods(BLUE): ("x/p#1",)}),
        ("TCP 80", {Pods(RED): ("x/p#0",)}),
    ]


def test_every_port_of_a_protocol_is_not_every_protocol() -> None:
    """B9: an entry without a port; V8: nor another protocol."""
    assert ingress(rule(None, ["*/SCTP"])) == [("SCTP every port", None)]


def test_a_named_port_of_ingress_is_the_pods_own() -> None:
    """V7, B9; an unresolved name matches nothing."""
    assert ingress(rule(None, ["http/TCP"])) == [("TCP 80,8080", None)]
    assert ingress(rule(None, ["http/SCTP", "absent/TCP"])) == []


def test_a_named_port_of_egress_is_resolved_with_each_peer() -> None:
    http = NamedPort(Protocol.TCP, "http")
    some = block("192.0.2.0/24", "192.0.2.1/32")
    assert egress(rule([RED_PODS, some], ["http/TCP", "443/TCP"])) == [
        ("by peer alone", {NamedDestination(RED, http): ("x/p#0",), NamedDestination(some, http): ("x/p#0",)}),
        ("TCP 443", {Pods(RED): ("x/p#0",), Block(some): ("x/p#0",)}),
    ]
    assert egress(rule(None, ["http/TCP"])) == [("by peer alone", {NamedDestination(None, http): ("x/p#0",)})]


def test_blocks_are_terms_too() -> None:
    network = Networks(frozenset({parse_network("10.0.0.0/8")}))
    assert ingress(rule([block("10.0.0.0/8")])) == [("by peer alone", {network: ("x/p#0",)})]


def test_rules_of_a_direction_the_policy_does_not_isolate_for_are_inert() -> None:
    """V2."""
    only_egress = policy("x/p", ingress=[rule()], directions=EGRESS)
    assert found(IN, only_egress) == found(OUT, only_egress) == []
    assert found(IN, policy("x/p", ingress=[rule()], directions=BOTH)) == [("everything", None)]


def test_beta_policies_and_later_ones_add_up() -> None:
    """M4, B12."""
    both = (beta("x/a", ingress=[rule([RED_PODS], ["80/TCP"])]), policy("x/b", ingress=[rule([BLUE_PODS], ["80/TCP"])]))
    assert found(IN, *both) == [("TCP 80", {Pods(RED): ("x/a#0",), Pods(BLUE): ("x/b#0",)})]


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([], []),
        ([(80, 80)], [(80, 80)]),
        ([(81, 90), (80, 80)], [(80, 90)]),
        ([(1, 100), (5, 6), (50, 120)], [(1, 120)]),
        ([(1, 2), (4, 5)], [(1, 2), (4, 5)]),
        ([(0, 65535), (80, 80)], [(0, 65535)]),
    ],
)
def test_ranges_that_touch_are_one(ranges: Sequence[tuple[int, int]], expected: Sequence[tuple[int, int]]) -> None:
    assert merged(PortRange(*each) for each in ranges) == tuple(PortRange(*each) for each in expected)


def test_an_allowance_has_a_name_of_its_own() -> None:
    """A pod's list of peers is named by it."""
    some: dict[Term, tuple[str, ...]] = {Pods(RED): ()}
    identities = {
        Allowance(None, (), some).identity,
        Allowance(Protocol.TCP, (ALL_PORTS,), some).identity,
        Allowance(Protocol.TCP, (PortRange(1, 65535),), some).identity,
        Allowance(Protocol.UDP, (ALL_PORTS,), some).identity,
        Allowance(Protocol.TCP, (PortRange(80, 80), PortRange(90, 99)), some).identity,
    }
    assert len(identities) == 5
