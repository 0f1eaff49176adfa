"""What one node's kernel is to hold: which pods, sets and chains, and nothing of other nodes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address

import pytest
from builders import address, beta, block, namespace, node, pod, pods, policy, rule

from netpol.compiler import names
from netpol.compiler.compile import compile_ruleset
from netpol.compiler.gates import CUT_SECONDS
from netpol.compiler.names import PodChainKind
from netpol.compiler.ruleset import FILTER_HOOKS, Jump, Member, NetworkMember, Ruleset, SetReference, SetType
from netpol.model.networks import Family, parse_network
from netpol.model.objects import Node, Pod
from netpol.model.policies import Direction, Policy
from netpol.model.snapshot import Snapshot
from netpol.model.treatment import AuditLevel, Enforcement, Treatment
from netpol.settings import NodeOptions

FOUR, SIX = Family.IPV4, Family.IPV6
IN, OUT = Direction.INGRESS, Direction.EGRESS
OPTIONS = NodeOptions("n1")
HERE = pod("x/here", "10.0.0.2", "fd00::2", labels="app=web", node="n1")
THERE = pod("x/there", "10.0.1.2", labels="app=web", node="n2")


def compiled(
    *pods_: Pod, policies: Iterable[Policy] = (), nodes: Iterable[Node] = (), options: NodeOptions = OPTIONS
) -> Ruleset:
    return compile_ruleset(Snapshot.of([namespace("x")], pods_, nodes, policies), options)


def members(ruleset: Ruleset, name: str) -> set[Member]:
    return set(ruleset.sets[name].members)


def packed(*hosts: str) -> set[bytes]:
    return {address(host).packed for host in hosts}


def pod_chains(ruleset: Ruleset, family: Family = FOUR) -> set[str]:
    return {name for name in ruleset.tables[family].chains if name.startswith(("NETPOL-PI-", "NETPOL-PE-"))}


def test_a_node_without_isolated_pods_has_empty_gates_and_no_chain_of_a_pod() -> None:
    found = compiled(HERE, THERE, policies=[policy("y/other", ingress=[rule([pods()])])])
    assert pod_chains(found) == set()
    assert {name: set(each.members) for name, each in found.sets.items()} == {
        **{names.isolated_set(direction, family): set() for direction in Direction for family in Family},
        **{names.enforced_set(family): set() for family in Family},
        **{names.unknown_set(family): set() for family in Family},
        **{names.cut_set(family): set() for family in Family},
        **{names.services_set(family): set() for family in Family},
    }


def test_who_answered_what_was_cut_is_remembered_for_a_time_and_never_compiled() -> None:
    """G11."""
    found = compiled(HERE, policies=[policy("x/p")])
    remembering = [each for each in found.sets.values() if each.timeout_seconds is not None]
    assert {(each.name, each.family, each.timeout_seconds) for each in remembering} == {
        (names.cut_set(family), family, CUT_SECONDS) for family in Family
    }
    assert not any(each.members for each in remembering)


def test_what_the_proxy_serves_has_a_set_that_others_fill() -> None:
    """X5: whether there is a proxy, and what it serves, is no matter of the policies."""
    found = compiled(HERE, policies=[policy("x/p")])
    assert {(each.name, each.type, each.family) for each in found.sets.values() if each.filled_by_others} == {
        (names.services_set(family), SetType.ADDRESS_PORTS, family) for family in Family
    }


def test_the_pods_of_other_nodes_have_neither_chain_nor_set() -> None:
    found = compiled(THERE, policies=[policy("x/p", ingress=[rule([pods()])])])
    assert found == compiled()


def test_an_isolated_pod_has_a_chain_for_each_direction_it_is_isolated_for() -> None:
    found = compiled(HERE, policies=[policy("x/p", egress=[rule()])])
    assert pod_chains(found) == {names.pod_chain("x", "here", direction) for direction in Direction}
    only_in = compiled(HERE, policies=[policy("x/p")])
    assert pod_chains(only_in) == {names.pod_chain("x", "here", IN)}
    assert members(only_in, names.isolated_set(IN, FOUR)) == packed("10.0.0.2")
    assert members(only_in, names.isolated_set(IN, SIX)) == packed("fd00::2")
    assert members(only_in, names.isolated_set(OUT, FOUR)) == set()


def test_a_pod_whose_every_isolation_is_under_audit_is_judged_and_not_enforced() -> None:
    """X16."""
    found = compiled(HERE, policies=[replace(policy("x/p"), enforcement=Enforcement.AUDIT)])
    assert pod_chains(found) == set()
    assert names.pod_chain("x", "here", IN, PodChainKind.AUDITING) in found.tables[FOUR].chains
    assert members(found, names.isolated_set(IN, FOUR)) == packed("10.0.0.2")
    assert members(found, names.enforced_set(FOUR)) == members(found, names.enforced_set(SIX)) == set()


def test_the_addresses_of_a_pod_that_anything_enforced_isolates_are_enforced() -> None:
    """G11."""
    for directions in ({IN}, {OUT}, {IN, OUT}):
        found = compiled(HERE, policies=[policy("x/p", directions=frozenset(directions))])
        assert members(found, names.enforced_set(FOUR)) == packed("10.0.0.2")
        assert members(found, names.enforced_set(SIX)) == packed("fd00::2")


def test_pods_are_treated_as_the_options_say() -> None:
    """X17."""
    options = replace(OPTIONS, treatment=Treatment(AuditLevel.ALLOWS))
    found = compiled(HERE, policies=[policy("x/p", ingress=[rule()])], options=options)
    assert names.pod_chain("x", "here", IN, PodChainKind.ALLOWING) in found.tables[FOUR].chains


def test_beta_policies_isolate_nobody() -> None:
    """B3, M4."""
    assert compiled(HERE, policies=[beta("x/p", ingress=[rule()])]) == compiled(HERE)
    world = Snapshot.of([namespace("x", deny=True)], [HERE], (), [beta("x/p", ingress=[rule([pods()])])])
    assert pod_chains(compile_ruleset(world, OPTIONS)) == {names.pod_chain("x", "here", IN)}


def test_a_chain_is_only_in_the_table_of_a_family_its_pod_has() -> None:
    four = replace(HERE, addresses=HERE.addresses[:1])
    found = compiled(four, policies=[policy("x/p")])
    assert pod_chains(found, FOUR)
    assert not pod_chains(found, SIX)


def test_a_family_that_is_off_is_nowhere() -> None:
    found = compiled(
        HERE,
        pod("x/six", "fd00::3", node="n1"),
        policies=[policy("x/p", ingress=[rule([pods(), block("fd00::/64")])])],
        nodes=[node("n1", pod_cidrs=["10.0.0.0/24", "fd00::/64"])],
        options=replace(OPTIONS, families=(FOUR,)),
    )
    assert set(found.tables) == {FOUR}
    assert {each.family for each in found.sets.values()} == {FOUR, None}
    assert pod_chains(found) == {names.pod_chain("x", "here", IN)}
    lists = [each for each in found.sets.values() if each.type is SetType.SETS]
    assert len(lists) == 1, "a pod with addresses of the other family alone needs no list"


def test_pods_share_the_sets_of_the_same_peers_and_have_lists_of_their_own() -> None:
    """One peer more is one message, whatever the number of pods."""
    other = pod("x/other", "10.0.0.3", node="n1")
    found = compiled(HERE, other, THERE, policies=[policy("x/p", ingress=[rule([pods("app=web")], ["80/TCP"])])])
    lists = {name: each for name, each in found.sets.items() if each.type is SetType.SETS}
    assert set(lists) == {names.group_set("x", each, IN, "TCP 80") for each in ("here", "other")}
    four, six = (names.shared_set("P", family, "pods [app=web] of namespace x") for family in Family)
    for each in lists.values():
        assert {member.name for member in each.members if isinstance(member, SetReference)} == {four, six}
    assert members(found, four) == packed("10.0.0.2", "10.0.1.2")


def test_every_hook_leads_to_a_chain_of_the_table() -> None:
    for table in compiled(HERE).tables.values():
        jumps = [rule.target for rule in table.hooks.values()]
        assert [jump.chain in table.chains for jump in jumps if isinstance(jump, Jump)] == [True] * len(FILTER_HOOKS)


# --- unknown addresses (G12)


def unknown(found: Ruleset, family: Family = FOUR) -> set[str]:
    """The members in words; `!` before what does not match."""
    held = members(found, names.unknown_set(family))
    return {
        f"{'!' if member.nomatch else ''}{ip_address(member.packed)}/{member.prefix}"
        for member in held
        if isinstance(member, NetworkMember)
    }


RANGES = node("n1", pod_cidrs=["10.0.0.0/24", "fd00::/64"])


def test_known_pods_are_carved_out_of_the_nodes_range() -> None:
    outside = pod("x/outside", "10.7.0.1", node="n1")
    found = compiled(HERE, THERE, outside, nodes=[RANGES])
    assert unknown(found) == {"10.0.0.0/24", "!10.0.0.2/32"}
    assert unknown(found, SIX) == {"fd00::/64", "!fd00::2/128"}


@pytest.mark.parametrize(
    "other",
    [
        replace(HERE, finished=True),
        replace(HERE, host_network=True),
    ],
)
def test_an_address_is_known_only_as_an_actionable_pods(other: Pod) -> None:
    """G3, V9."""
    assert unknown(compiled(other, nodes=[RANGES])) == {"10.0.0.0/24"}


@pytest.mark.parametrize("elsewhere", ["n2", ""])
def test_a_pod_of_another_node_is_known_although_its_address_is_of_this_nodes_range(elsewhere: str) -> None:
    """G12: an address may be borrowed."""
    assert unknown(compiled(replace(HERE, node=elsewhere), nodes=[RANGES])) == {"!10.0.0.2/32", "10.0.0.0/24"}


def test_a_range_that_the_option_gives_stands_in_for_a_family_without_one() -> None:
    """G12: a Node object may state the range of one family only."""
    options = replace(OPTIONS, pod_cidrs=(parse_network("10.9.0.0/16"), parse_network("fd00::/64")))
    found = compiled(nodes=[node("n1", pod_cidrs=["10.0.0.0/24"])], options=options)
    assert (unknown(found), unknown(found, SIX)) == ({"10.0.0.0/24"}, {"fd00::/64"})


def test_the_options_say_the_range_where_the_node_does_not() -> None:
    options = replace(OPTIONS, pod_cidrs=(parse_network("10.0.0.0/16"),))
    assert unknown(compiled(HERE, options=options)) == {"10.0.0.0/16", "!10.0.0.2/32"}
    assert unknown(compiled(HERE, nodes=[node("n1")], options=options)) == {"10.0.0.0/16", "!10.0.0.2/32"}
    assert unknown(compiled(HERE, nodes=[RANGES], options=options)) == {"10.0.0.0/24", "!10.0.0.2/32"}


def test_failing_open_closes_nothing() -> None:
    assert unknown(compiled(HERE, nodes=[RANGES], options=replace(OPTIONS, fail_open=True))) == set()


def test_a_range_of_every_address_is_two_halves() -> None:
    found = compiled(HERE, nodes=[node("n1", pod_cidrs=["0.0.0.0/0"])])
    assert unknown(found) == {"0.0.0.0/1", "128.0.0.0/1", "!10.0.0.2/32"}


def test_a_range_of_one_known_address_is_a_hole_alone() -> None:
    assert unknown(compiled(HERE, nodes=[node("n1", pod_cidrs=["10.0.0.2/32"])])) == {"!10.0.0.2/32"}
